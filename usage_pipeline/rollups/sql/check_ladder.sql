-- check_ladder: one row per computed period of a window, and whether it is compared with the rows below.
-- skipped: what it was made from is pruned or was never whole, or has changed since, and its next run will follow.
-- Of a long window the newest periods are compared, no more once so many rows below are read.
-- Binds: rollup, below, window_start, window_end, most_rows.
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
judged as (
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
)
select
  judged.period_start, case when judged.skipped is not null then 'skipped' end as verdict, judged.skipped as why,
  judged.is_sealed, judged.covered_until
from judged
order by judged.period_start
