-- One row per computed period of a range, oldest first: how it stands, what it keeps of each user beyond its source,
-- whether it is read from raw rows, and whether it may no longer be. Binds: rollup, window_start, window_end.
select
  ledger.period_start,
  ledger.period_end,
  ledger.state,
  ledger.kept,
  source.is_raw,
  source.is_raw and ledger.period_start < coalesce(horizon.begins_at, '-infinity') as is_before_horizon
from usage.rollup_ledger ledger
join usage_private.ladder() step on step.rollup = ledger.rollup
left join usage.source_horizon horizon on horizon.family = step.family
cross join lateral (
  select step.below is null or exists (
    select
    from usage.rollup_ledger below
    where below.rollup = step.below and below.state = 'pruned'
      and below.period_start >= ledger.period_start and below.period_start < ledger.period_end
  ) as is_raw
) source
where ledger.rollup = :rollup
  and ledger.computed_at is not null
  and ledger.period_start >= cast(:window_start as timestamptz)
  and ledger.period_start < cast(:window_end as timestamptz)
order by ledger.period_start
