-- Every stored period of every user at one grain. Binds: period_type, window_start, window_end.
select
  stored.period_start, stored.user_id,
  stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens,
  stored.message_count, stored.conversation_count, stored.agent_ids, stored.last_activity,
  stored.unmetered_message_count, stored.refused_message_count, stored.conversation_ids
from usage.user_token_usage stored
where stored.period_type = cast(:period_type as text)
  and stored.period_start >= cast(:window_start as timestamptz)
  and stored.period_start < cast(:window_end as timestamptz)
