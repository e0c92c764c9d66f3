-- One row per day on which a user has usage, oldest first. Binds: user_id, window_start, window_end.
select
  stored.period_start as key,
  stored.message_count as messages,
  stored.conversation_count as conversations,
  stored.total_prompt_tokens as prompt_tokens,
  stored.total_completion_tokens as completion_tokens,
  stored.total_tokens,
  stored.unmetered_message_count as unmetered_messages,
  stored.refused_message_count as refused_messages,
  stored.last_activity
from usage.user_token_usage stored
where stored.period_type = 'daily'
  and stored.user_id = cast(:user_id as uuid)
  and stored.period_start >= cast(:window_start as timestamptz)
  and stored.period_start < cast(:window_end as timestamptz)
order by stored.period_start
