-- check_sealed_unchanged: one row per sealed period looked at: whether its rows are still those that were sealed.
-- Looked at are the newest of a window and some others, in a row from a place that moves every day: by the golden
-- ratio of all time since the first day, so that the days to come fall between those before and none is left out for
-- long: so many at most. Of either no more once so many rows are read: it costs the same however long the history.
-- Binds: rollup, window_start, window_end, most_periods, most_rows.
with place as (
  select
    first.day as first_day,
    first.day - reach.span
      + (usage_private.now() - first.day + reach.span) * pg_catalog.mod(
        pg_catalog.floor(extract(epoch from usage_private.now()) / 86400) * 0.6180339887, 1)::float8 as starts
  from usage_private.ladder() step
  join usage.rollup_policy policy on policy.family = step.family
  cross join lateral (select policy.first_day::timestamp at time zone 'UTC') first (day)
  cross join lateral (select cast(:most_periods as integer) * ('1 ' || step.run_unit)::interval) reach (span)
  where step.rollup = :rollup
),
of_window as (
  select
    ledger.period_start, ledger.period_end, ledger.checksum, ledger.stored_rows,
    coalesce(pg_catalog.sum(ledger.stored_rows) over (
      order by ledger.period_start desc rows between unbounded preceding and 1 preceding), 0) as rows_before
  from usage.rollup_ledger ledger
  where ledger.rollup = :rollup and ledger.state = 'sealed'
    and ledger.period_start >= cast(:window_start as timestamptz)
    and ledger.period_start < cast(:window_end as timestamptz)
),
drawn as (
  select
    next.*,
    coalesce(pg_catalog.sum(next.stored_rows) over (
      order by next.period_start rows between unbounded preceding and 1 preceding), 0) as rows_before
  from (
    select ledger.period_start, ledger.period_end, ledger.checksum, ledger.stored_rows
    from place
    join usage.rollup_ledger ledger on ledger.period_start >= place.starts and ledger.period_end > place.first_day
    where ledger.rollup = :rollup and ledger.state = 'sealed'
      and not (
        ledger.period_start >= cast(:window_start as timestamptz)
        and ledger.period_start < cast(:window_end as timestamptz)
      )
    order by ledger.period_start
    limit cast(:most_periods as integer)
  ) next
),
sealed as (
  select looked_at.period_start, looked_at.period_end, looked_at.checksum, looked_at.stored_rows
  from (table of_window union all table drawn) looked_at
  where looked_at.rows_before < cast(:most_rows as bigint)
)
select
  sealed.period_start,
  case
    when stored.checksum = sealed.checksum then 'holds'
    when pg_catalog.split_part(stored.checksum, ':', 1) <> pg_catalog.split_part(sealed.checksum, ':', 1) then 'skipped'
    else 'broken'
  end as verdict,
  case
    when stored.checksum = sealed.checksum then null
    when pg_catalog.split_part(stored.checksum, ':', 1) <> pg_catalog.split_part(sealed.checksum, ':', 1)
      then 'sealed by another rule of checksums'
    else pg_catalog.format('its %s rows have the checksum %s, the %s that were sealed had %s',
      stored.stored_rows, stored.checksum, sealed.stored_rows, sealed.checksum)
  end as why,
  stored.stored_rows,
  sealed.stored_rows as sealed_rows
from sealed
cross join lateral usage_private.stored_of_period(:rollup, sealed.period_start, sealed.period_end) stored
order by sealed.period_start
