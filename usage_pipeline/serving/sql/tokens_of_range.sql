-- tokens_of_range: stored periods of one grain added up, by user, by period, by both or by neither; conversations are
-- distinct, and NULL where the rows do not tell: several of a grain that keeps no ids.
-- Binds: period_type, window_start, window_end, only_user (NULL: everybody), by_user, by_period. A user that is not
-- asked for is NULL; so is the period of a row that holds several.
with chosen as (
  select
    stored.*,
    case when cast(:by_user as boolean) then stored.user_id end as user_key,
    case when cast(:by_period as boolean) then stored.period_start end as period_key
  from usage.user_token_usage stored
  where stored.period_type = :period_type
    and (cast(:only_user as uuid) is null or stored.user_id = cast(:only_user as uuid))
    and stored.period_start >= cast(:window_start as timestamptz)
    and stored.period_start < cast(:window_end as timestamptz)
),
conversations as (
  select chosen.user_key, chosen.period_key, pg_catalog.count(distinct conversation.id) as conversation_count
  from chosen
  cross join lateral pg_catalog.unnest(chosen.conversation_ids) conversation (id)
  group by chosen.user_key, chosen.period_key
),
summed as (
  select
    chosen.user_key, chosen.period_key,
    case when pg_catalog.min(chosen.period_start) = pg_catalog.max(chosen.period_start)
      then pg_catalog.min(chosen.period_start) end as period,
    case when pg_catalog.count(*) = 1 then pg_catalog.min(chosen.conversation_count) end as stored_conversations,
    pg_catalog.bool_and(chosen.conversation_ids is not null) as has_ids,
    pg_catalog.sum(chosen.message_count)::bigint as messages,
    pg_catalog.sum(chosen.total_prompt_tokens)::bigint as prompt_tokens,
    pg_catalog.sum(chosen.total_completion_tokens)::bigint as completion_tokens,
    pg_catalog.sum(chosen.total_tokens)::bigint as total_tokens,
    pg_catalog.sum(chosen.unmetered_message_count)::bigint as unmetered_messages,
    pg_catalog.sum(chosen.refused_message_count)::bigint as refused_messages,
    pg_catalog.max(chosen.last_activity) as last_activity
  from chosen
  group by chosen.user_key, chosen.period_key
)
select
  summed.user_key as user_id, directory.label, summed.period, summed.messages,
  case
    when summed.has_ids then coalesce(conversations.conversation_count, 0)
    else summed.stored_conversations
  end as conversations,
  summed.prompt_tokens, summed.completion_tokens, summed.total_tokens,
  summed.unmetered_messages, summed.refused_messages, summed.last_activity
from summed
full join conversations -- each has its sum; a left join would become a loop over all users where statistics lack
  on coalesce(conversations.user_key, '00000000-0000-0000-0000-000000000000')
      = coalesce(summed.user_key, '00000000-0000-0000-0000-000000000000')
    and coalesce(conversations.period_key, '-infinity') = coalesce(summed.period_key, '-infinity')
left join usage.user_directory() directory on directory.user_id = summed.user_key
order by
  summed.period_key, summed.user_key = '00000000-0000-0000-0000-000000000000', summed.total_tokens desc,
  summed.messages desc, summed.user_key
