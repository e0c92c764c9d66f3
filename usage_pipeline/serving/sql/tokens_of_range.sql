-- tokens_of_range: stored days added up, by user, by day, by both or by neither; conversations are distinct.
-- Binds: window_start, window_end, only_user (NULL: everybody), by_user, by_day. What is not asked for is NULL.
with chosen as (
  select
    stored.*,
    case when cast(:by_user as boolean) then stored.user_id end as user_key,
    case when cast(:by_day as boolean) then stored.period_start end as day_key
  from usage.user_token_usage stored
  where stored.period_type = 'daily'
    and (cast(:only_user as uuid) is null or stored.user_id = cast(:only_user as uuid))
    and stored.period_start >= cast(:window_start as timestamptz)
    and stored.period_start < cast(:window_end as timestamptz)
),
conversations as (
  select chosen.user_key, chosen.day_key, pg_catalog.count(distinct conversation.id) as conversation_count
  from chosen
  cross join lateral pg_catalog.unnest(chosen.conversation_ids) conversation (id)
  group by chosen.user_key, chosen.day_key
),
summed as (
  select
    chosen.user_key, chosen.day_key,
    pg_catalog.sum(chosen.message_count)::bigint as messages,
    pg_catalog.sum(chosen.total_prompt_tokens)::bigint as prompt_tokens,
    pg_catalog.sum(chosen.total_completion_tokens)::bigint as completion_tokens,
    pg_catalog.sum(chosen.total_tokens)::bigint as total_tokens,
    pg_catalog.sum(chosen.unmetered_message_count)::bigint as unmetered_messages,
    pg_catalog.sum(chosen.refused_message_count)::bigint as refused_messages,
    pg_catalog.max(chosen.last_activity) as last_activity
  from chosen
  group by chosen.user_key, chosen.day_key
)
select
  summed.user_key as user_id, directory.label, summed.day_key as day, summed.messages,
  coalesce(conversations.conversation_count, 0) as conversations,
  summed.prompt_tokens, summed.completion_tokens, summed.total_tokens,
  summed.unmetered_messages, summed.refused_messages, summed.last_activity
from summed
left join conversations
  on coalesce(conversations.user_key, '00000000-0000-0000-0000-000000000000')
      = coalesce(summed.user_key, '00000000-0000-0000-0000-000000000000')
    and coalesce(conversations.day_key, '-infinity') = coalesce(summed.day_key, '-infinity')
left join usage.user_directory() directory on directory.user_id = summed.user_key
order by
  summed.day_key, summed.user_key = '00000000-0000-0000-0000-000000000000', summed.total_tokens desc,
  summed.messages desc, summed.user_key
