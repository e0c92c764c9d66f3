-- One row per user with usage in a range of days, the biggest first, the nil UUID last.
-- Conversations are distinct over the range. Binds: window_start, window_end.
with usage_of_range as (
  select stored.*
  from usage.user_token_usage stored
  where stored.period_type = 'daily'
    and stored.period_start >= cast(:window_start as timestamptz)
    and stored.period_start < cast(:window_end as timestamptz)
),
conversations as (
  select stored.user_id, pg_catalog.count(distinct conversation.id) as conversation_count
  from usage_of_range stored
  cross join lateral pg_catalog.unnest(stored.conversation_ids) conversation (id)
  group by stored.user_id
),
summed as (
  select
    stored.user_id,
    pg_catalog.sum(stored.message_count)::bigint as messages,
    pg_catalog.sum(stored.total_prompt_tokens)::bigint as prompt_tokens,
    pg_catalog.sum(stored.total_completion_tokens)::bigint as completion_tokens,
    pg_catalog.sum(stored.total_tokens)::bigint as total_tokens,
    pg_catalog.sum(stored.unmetered_message_count)::bigint as unmetered_messages,
    pg_catalog.sum(stored.refused_message_count)::bigint as refused_messages,
    pg_catalog.max(stored.last_activity) as last_activity
  from usage_of_range stored
  group by stored.user_id
)
select
  summed.user_id as key, directory.label, summed.messages,
  coalesce(conversations.conversation_count, 0) as conversations,
  summed.prompt_tokens, summed.completion_tokens, summed.total_tokens,
  summed.unmetered_messages, summed.refused_messages, summed.last_activity
from summed
left join conversations on conversations.user_id = summed.user_id
left join usage.user_directory() directory on directory.user_id = summed.user_id
order by
  summed.user_id = '00000000-0000-0000-0000-000000000000', summed.total_tokens desc, summed.messages desc,
  summed.user_id
