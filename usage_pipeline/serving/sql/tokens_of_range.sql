-- tokens_of_range: stored periods of one grain added up, by user, by period, by both or by neither; conversations are
-- distinct, and NULL where the rows do not tell: several of a grain that keeps no ids.
-- Binds: period_type, window_start, window_end, only_user (NULL: everybody), by_user, by_period, most (NULL: all). A user
-- that is not asked for is NULL; so is the period of a row that holds several. By user, the users of a period beyond the
-- `most` with the most tokens are one row: its user is NULL, `users` says how many they are, and their conversations are
-- not counted, which would cost more than all other columns. What belongs to nobody is always a row of its own.
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
added as (
  select
    chosen.user_key, chosen.period_key,
    coalesce(chosen.user_key = '00000000-0000-0000-0000-000000000000', false) as is_nobody,
    pg_catalog.count(*) as row_count,
    pg_catalog.min(chosen.period_start) as first_period, pg_catalog.max(chosen.period_start) as last_period,
    pg_catalog.min(chosen.conversation_count) as conversation_count,
    pg_catalog.bool_and(chosen.conversation_ids is not null) as has_ids,
    pg_catalog.sum(chosen.message_count) as messages,
    pg_catalog.sum(chosen.total_prompt_tokens) as prompt_tokens,
    pg_catalog.sum(chosen.total_completion_tokens) as completion_tokens,
    pg_catalog.sum(chosen.total_tokens) as total_tokens,
    pg_catalog.sum(chosen.unmetered_message_count) as unmetered_messages,
    pg_catalog.sum(chosen.refused_message_count) as refused_messages,
    pg_catalog.max(chosen.last_activity) as last_activity
  from chosen
  group by chosen.user_key, chosen.period_key
),
ranked as (
  select
    added.*,
    pg_catalog.row_number() over (
      partition by added.period_key, added.is_nobody
      order by added.total_tokens desc, added.messages desc, added.user_key
    ) as rank
  from added
),
placed as (
  select
    ranked.*,
    coalesce(ranked.rank > cast(:most as bigint), false) and not ranked.is_nobody as is_rest
  from ranked
),
conversations as (
  select chosen.user_key, chosen.period_key, pg_catalog.count(distinct conversation.id) as conversation_count
  from chosen
  cross join lateral pg_catalog.unnest(chosen.conversation_ids) conversation (id)
  where cast(:most as bigint) is null
    or (chosen.user_key, coalesce(chosen.period_key, '-infinity')) in (
      select placed.user_key, coalesce(placed.period_key, '-infinity') from placed where not placed.is_rest
    )
  group by chosen.user_key, chosen.period_key
),
summed as (
  select
    case when not placed.is_rest then placed.user_key end as user_key, placed.period_key, placed.is_rest,
    pg_catalog.bool_or(placed.is_nobody) as is_nobody,
    pg_catalog.count(*) as users,
    case when pg_catalog.min(placed.first_period) = pg_catalog.max(placed.last_period)
      then pg_catalog.min(placed.first_period) end as period,
    case when pg_catalog.sum(placed.row_count) = 1 then pg_catalog.min(placed.conversation_count) end
      as stored_conversations,
    pg_catalog.bool_and(placed.has_ids) as has_ids,
    pg_catalog.sum(placed.messages)::bigint as messages,
    pg_catalog.sum(placed.prompt_tokens)::bigint as prompt_tokens,
    pg_catalog.sum(placed.completion_tokens)::bigint as completion_tokens,
    pg_catalog.sum(placed.total_tokens)::bigint as total_tokens,
    pg_catalog.sum(placed.unmetered_messages)::bigint as unmetered_messages,
    pg_catalog.sum(placed.refused_messages)::bigint as refused_messages,
    pg_catalog.max(placed.last_activity) as last_activity
  from placed
  group by 1, placed.period_key, placed.is_rest
)
select
  summed.user_key as user_id, summed.users, summed.is_rest, summed.period, summed.messages,
  case
    when summed.is_rest then null
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
order by
  summed.period_key, summed.is_nobody, summed.is_rest, summed.total_tokens desc, summed.messages desc,
  summed.user_key
