-- stored: of each grain, how many rows there are and a digest of them, whatever the revision that wrote them.
select
  stored.period_type, count(*),
  md5(string_agg(row(
    stored.period_start, stored.period_end, stored.user_id, stored.total_prompt_tokens,
    stored.total_completion_tokens, stored.total_tokens, stored.message_count, stored.unmetered_message_count,
    stored.refused_message_count, stored.conversation_count, stored.agent_ids, stored.conversation_ids,
    stored.last_activity
  )::text, ' ' order by stored.period_start, stored.user_id))
from usage.user_token_usage stored
group by stored.period_type
order by stored.period_type
