-- check_ladder: one row per computed period of a window: whether each user's row is what the periods below it add up
-- to: messages and tokens of each kind are their sum, conversations at least the most of any and at most the sum.
-- skipped: what it was made from is pruned or was never whole, or has changed since, and its next run will follow.
-- Of a long window the newest periods are compared, no more once so many rows below are read.
-- Binds: rollup, grain, below, below_grain, window_start, window_end, most_rows.
with periods as materialized (
  select
    ledger.period_start, ledger.period_end, ledger.covered_until, ledger.below, ledger.state = 'sealed' as is_sealed
  from usage.rollup_ledger ledger
  where ledger.rollup = :rollup
    and ledger.period_start >= cast(:window_start as timestamptz)
    and ledger.period_start < cast(:window_end as timestamptz)
    and ledger.state in ('open', 'sealed')
    and ledger.computed_at is not null
),
parts as (
  select
    periods.period_start,
    coalesce(pg_catalog.bool_or(
      coalesce(lower.state in ('pruned', 'partial'), usage_private.is_gone(:below, starts.at))
    ) filter (where starts.at < periods.covered_until), false) as is_lacking,
    coalesce(
      pg_catalog.jsonb_object_agg(pg_catalog.to_char(starts.at at time zone 'UTC', 'YYYY-MM-DD'), lower.checksum)
        filter (where lower.state in ('open', 'sealed')), '{}') as below_now,
    coalesce(pg_catalog.sum(lower.stored_rows), 0) as row_count
  from periods
  join usage_private.ladder() step on step.rollup = :below
  cross join lateral pg_catalog.generate_series(
    periods.period_start at time zone 'UTC', periods.period_end at time zone 'UTC' - interval '1 microsecond',
    ('1 ' || step.run_unit)::interval
  ) local (at)
  cross join lateral (select local.at at time zone 'UTC') starts (at)
  left join usage.rollup_ledger lower
    on lower.rollup = step.rollup and lower.period_start = starts.at and lower.computed_at is not null
  group by periods.period_start
),
judged as materialized (
  select
    periods.period_start,
    periods.covered_until,
    periods.is_sealed,
    case
      when pg_catalog.sum(parts.row_count) over (
        order by parts.period_start desc rows between unbounded preceding and 1 preceding
      ) >= cast(:most_rows as bigint) then 'of a long run only the newest are'
      when parts.is_lacking then pg_catalog.format('of %s some are pruned or were never whole', cast(:below as text))
      when parts.below_now <> periods.below then pg_catalog.format(
        'of %s some have changed since: its next run follows', cast(:below as text))
    end as skipped
  from periods
  join parts on parts.period_start = periods.period_start
),
lower_users as (
  select
    judged.period_start,
    held.user_id,
    pg_catalog.sum(held.message_count)::bigint as messages,
    pg_catalog.sum(held.total_tokens)::bigint as tokens,
    pg_catalog.sum(held.conversation_count)::bigint as most_conversations,
    pg_catalog.max(held.conversation_count) as least_conversations,
    array[
      pg_catalog.sum(held.total_prompt_tokens), pg_catalog.sum(held.total_completion_tokens),
      pg_catalog.sum(held.unmetered_message_count), pg_catalog.sum(held.refused_message_count)
    ] as others
  from judged
  join usage.user_token_usage held
    on held.period_start >= judged.period_start and held.period_start < judged.covered_until
  where judged.skipped is null
    and held.period_type = :below_grain
    and held.period_start >= (select pg_catalog.min(judged.period_start) from judged where judged.skipped is null)
    and held.period_start < cast(:window_end as timestamptz)
  group by judged.period_start, held.user_id
),
upper_users as (
  select
    held.period_start, held.user_id, held.message_count as messages, held.total_tokens as tokens,
    held.conversation_count as conversations,
    array[
      held.total_prompt_tokens, held.total_completion_tokens, held.unmetered_message_count, held.refused_message_count
    ]::numeric[] as others
  from judged
  join usage.user_token_usage held on held.period_start = judged.period_start
  where judged.skipped is null
    and held.period_type = :grain
    and held.period_start >= (select pg_catalog.min(judged.period_start) from judged where judged.skipped is null)
    and held.period_start < cast(:window_end as timestamptz)
),
compared as (
  select
    coalesce(upper_users.period_start, lower_users.period_start) as period_start,
    coalesce(pg_catalog.sum(upper_users.messages), 0)::bigint as messages,
    coalesce(pg_catalog.sum(lower_users.messages), 0)::bigint as messages_below,
    coalesce(pg_catalog.sum(upper_users.tokens), 0)::bigint as tokens,
    coalesce(pg_catalog.sum(lower_users.tokens), 0)::bigint as tokens_below,
    coalesce(pg_catalog.sum(upper_users.conversations), 0)::bigint as conversations,
    coalesce(pg_catalog.sum(lower_users.most_conversations), 0)::bigint as most_conversations,
    pg_catalog.count(*) filter (
      where (coalesce(upper_users.messages, 0), coalesce(upper_users.tokens, 0))
        <> (coalesce(lower_users.messages, 0), coalesce(lower_users.tokens, 0))
        or coalesce(upper_users.others, '{0,0,0,0}') <> coalesce(lower_users.others, '{0,0,0,0}')
        or coalesce(upper_users.conversations, 0)
          not between coalesce(lower_users.least_conversations, 0) and coalesce(lower_users.most_conversations, 0)
    ) as users_that_differ
  from upper_users
  full join lower_users
    on lower_users.period_start = upper_users.period_start and lower_users.user_id = upper_users.user_id
  group by 1
)
select
  judged.period_start,
  case
    when judged.skipped is not null then 'skipped'
    when compared.users_that_differ > 0 then 'broken'
    else 'holds'
  end as verdict,
  case
    when judged.skipped is not null then judged.skipped
    when compared.users_that_differ > 0 then pg_catalog.format(
      '%s rows differ from those below: %s messages, %s tokens and %s conversations, below are %s, %s and up to %s',
      compared.users_that_differ, compared.messages, compared.tokens, compared.conversations,
      compared.messages_below, compared.tokens_below, compared.most_conversations)
  end as why,
  judged.is_sealed,
  coalesce(compared.messages, 0) as messages,
  coalesce(compared.messages_below, 0) as messages_below,
  coalesce(compared.tokens, 0) as tokens,
  coalesce(compared.tokens_below, 0) as tokens_below,
  coalesce(compared.users_that_differ, 0) as users_that_differ
from judged
left join compared on compared.period_start = judged.period_start
order by judged.period_start
