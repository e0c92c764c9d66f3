-- check_conservation: one row per computed period of a window: whether every answer of the source is stored once, as
-- what it is. The source's side is what its last run counted, ours the rows that stand now.
-- attributed + unattributed = source, reported + total only + unmetered + refused = source, stored = source + kept.
-- Of answers that are kept nobody knows how they reported their tokens: there the second sum is not asked for.
-- Binds: rollup, grain, window_start, window_end.
with stored as (
  select
    held.period_start,
    pg_catalog.sum(held.message_count)::bigint as messages,
    coalesce(pg_catalog.sum(held.message_count) filter (
      where held.user_id = '00000000-0000-0000-0000-000000000000'), 0)::bigint as of_nobody,
    pg_catalog.sum(held.unmetered_message_count)::bigint as unmetered,
    pg_catalog.sum(held.refused_message_count)::bigint as refused,
    pg_catalog.sum(held.total_tokens)::bigint as tokens
  from usage.user_token_usage held
  where held.period_type = :grain
    and held.period_start >= cast(:window_start as timestamptz)
    and held.period_start < cast(:window_end as timestamptz)
  group by held.period_start
),
counted as (
  select
    ledger.period_start,
    ledger.state = 'sealed' as is_sealed,
    ledger.source_rows,
    ledger.kept_rows,
    ledger.kept = '{}' as keeps_nothing,
    kept.tokens as kept_tokens,
    counts.unattributed_rows,
    counts.total_only_rows,
    counts.unmetered_rows,
    counts.refused_rows,
    (ledger.totals ->> 'total_tokens')::bigint as ledger_tokens,
    coalesce(stored.messages, 0) as messages,
    coalesce(stored.of_nobody, 0) as of_nobody,
    coalesce(stored.messages - stored.of_nobody, 0) as of_users,
    coalesce(stored.unmetered, 0) as unmetered,
    coalesce(stored.refused, 0) as refused,
    coalesce(stored.tokens, 0) as tokens,
    coalesce(stored.messages - stored.unmetered - stored.refused, 0) - counts.total_only_rows as reported,
    coalesce((ledger.kept -> '00000000-0000-0000-0000-000000000000' ->> 'message_count')::bigint, 0) as kept_of_nobody
  from usage.rollup_ledger ledger
  left join stored on stored.period_start = ledger.period_start
  cross join lateral (
    select coalesce(pg_catalog.sum((each.value ->> 'total_tokens')::bigint), 0)::bigint as tokens
    from pg_catalog.jsonb_each(ledger.kept) each
  ) kept
  cross join lateral (
    select
      (ledger.states ->> 'unattributed')::bigint as unattributed_rows,
      (ledger.states ->> 'total_only')::bigint as total_only_rows,
      (ledger.states ->> 'unmetered')::bigint as unmetered_rows,
      (ledger.states ->> 'refused')::bigint as refused_rows
  ) counts
  where ledger.rollup = :rollup
    and ledger.period_start >= cast(:window_start as timestamptz)
    and ledger.period_start < cast(:window_end as timestamptz)
    and ledger.state in ('open', 'sealed')
    and ledger.source_rows is not null
),
judged as (
  select
    counted.*,
    case
      when counted.messages <> counted.source_rows + counted.kept_rows
        or counted.of_users - (counted.kept_rows - counted.kept_of_nobody) + counted.unattributed_rows
          <> counted.source_rows
        then pg_catalog.format(
          '%s answers in the source, %s of them of nobody known; stored are %s of users and %s of nobody, %s kept',
          counted.source_rows, counted.unattributed_rows, counted.of_users, counted.of_nobody, counted.kept_rows)
      when counted.keeps_nothing
        and (counted.unmetered <> counted.unmetered_rows or counted.refused <> counted.refused_rows)
        then pg_catalog.format(
          '%s answers in the source, of them %s with only a total, %s without tokens and %s refused;'
          ' stored are %s without tokens and %s refused, and %s are left that reported theirs',
          counted.source_rows, counted.total_only_rows, counted.unmetered_rows, counted.refused_rows,
          counted.unmetered, counted.refused, counted.reported)
      when counted.tokens <> counted.ledger_tokens
        then pg_catalog.format(
          '%s tokens are stored, its last run left %s', counted.tokens, counted.ledger_tokens)
    end as broken
  from counted
)
select
  judged.period_start,
  case when judged.broken is null then 'holds' else 'broken' end as verdict,
  coalesce(judged.broken, case when not judged.keeps_nothing
    then pg_catalog.format('it holds; %s messages and %s tokens are stored that the source no longer has',
      judged.kept_rows, judged.kept_tokens) end) as why,
  judged.is_sealed,
  judged.source_rows as source_messages,
  judged.messages as stored_messages,
  judged.kept_rows as kept_messages,
  judged.kept_tokens,
  judged.of_nobody as unattributed_messages,
  judged.unmetered as unmetered_messages,
  judged.refused as refused_messages,
  judged.tokens as stored_tokens
from judged
order by judged.period_start
