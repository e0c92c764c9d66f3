-- standing_periods: one row per computed period of a rollup: how far it was read, what it keeps that its source lost,
-- and the rollups, its own or one below, whose periods in it are older than those they were made from, or lack one
-- that was never computed: the first day was moved back since.
-- Binds: rollup, window_start, window_end.
with recursive standing as not materialized ( -- read three times, each time of a few periods of a long ledger
  select ledger.*
  from usage.rollup_ledger ledger
  where ledger.state <> 'partial' and ledger.covered_until is not null
),
tree as (
  select
    standing.period_start as root, standing.rollup, standing.period_start, standing.period_end,
    standing.covered_until, standing.below,
    standing.kept_rows, cast(null as text) as built, false as is_newer
  from standing
  where standing.rollup = :rollup
    and standing.period_start >= cast(:window_start as timestamptz)
    and standing.period_start < cast(:window_end as timestamptz)
    and standing.state <> 'pruned'
  union all
  select
    tree.root, lower.rollup, lower.period_start, lower.period_end, lower.covered_until, lower.below,
    lower.kept_rows, tree.rollup,
    lower.checksum is distinct from
      tree.below ->> pg_catalog.to_char(lower.period_start at time zone 'UTC', 'YYYY-MM-DD')
  from tree
  join usage_private.ladder() step on step.rollup = tree.rollup
  join standing lower
    on lower.rollup = step.below
      and lower.period_start >= tree.period_start and lower.period_start < tree.period_end
      and lower.state <> 'pruned'
),
lacking as (
  select tree.root, pg_catalog.array_agg(distinct tree.rollup) as rollups
  from tree
  join usage_private.ladder() step on step.rollup = tree.rollup
  join usage_private.ladder() lower on lower.rollup = step.below
  join usage.rollup_policy policy on policy.family = step.family
  left join usage.source_horizon known on known.family = step.family
  cross join lateral pg_catalog.generate_series(
    tree.period_start at time zone 'UTC', tree.covered_until at time zone 'UTC' - interval '1 microsecond',
    ('1 ' || lower.run_unit)::interval
  ) local (at)
  cross join lateral (select local.at at time zone 'UTC') starts (at)
  where usage_private.end_of(lower.run_unit, starts.at) > policy.first_day::timestamp at time zone 'UTC'
    and starts.at >= coalesce(known.begins_at, '-infinity')
    and not exists (
      select
      from usage.rollup_ledger ledger
      where ledger.rollup = lower.rollup and ledger.period_start = starts.at and ledger.state <> 'partial'
        and ledger.covered_until is not null
    )
    and not usage_private.is_gone(lower.rollup, starts.at)
  group by tree.root
),
below as (
  select
    tree.root,
    pg_catalog.array_agg(distinct tree.built) filter (where tree.is_newer) as stale_rollups,
    pg_catalog.sum(tree.kept_rows) filter (where tree.built is not null) as kept_rows
  from tree
  group by tree.root
)
select
  standing.period_start, standing.state, standing.covered_until,
  coalesce(below.stale_rollups, '{}') || coalesce(lacking.rollups, '{}') as stale_rollups,
  coalesce(nullif(standing.kept_rows, 0), below.kept_rows, 0)::bigint as kept_rows
from standing
left join below on below.root = standing.period_start
left join lacking on lacking.root = standing.period_start
where standing.rollup = :rollup
  and standing.period_start >= cast(:window_start as timestamptz)
  and standing.period_start < cast(:window_end as timestamptz)
order by standing.period_start
