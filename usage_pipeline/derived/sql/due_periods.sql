-- due_periods: the periods of one rollup that a run would bring up to date, oldest first, each with the reason. It
-- stands in the ledger, so that no night has to be remembered: what was missed or refused is due again.
-- recent: today and yesterday; never computed; partial: only the seed's function touched it; cut short: over, and
-- computed only up to a moment before its end, though more stands below; unsealed: its grace is over; changed below: a
-- period below stands with another checksum than the one it was computed from.
-- What is pruned, lies before the first day or is to come is never due, nor what could only be read from raw rows that
-- the source no longer has. Binds: rollup.
with step as (
  select
    ladder.rollup, ladder.run_unit, ladder.below, lower.run_unit as unit_below, usage_private.now() as clock,
    policy.first_day::timestamp at time zone 'UTC' as first_day,
    pg_catalog.make_interval(days => policy.grace_days) as grace, known.begins_at as horizon
  from usage_private.ladder() ladder
  join usage.rollup_policy policy on policy.family = ladder.family
  left join usage.source_horizon known on known.family = ladder.family
  left join usage_private.ladder() lower on lower.rollup = ladder.below
  where ladder.rollup = :rollup
),
periods as (
  select starts.at as period_start, usage_private.end_of(step.run_unit, starts.at) as period_end, ledger.state,
    ledger.covered_until, ledger.below
  from step
  cross join lateral pg_catalog.generate_series(
    usage_private.start_of(step.run_unit, step.first_day) at time zone 'UTC', step.clock at time zone 'UTC',
    ('1 ' || step.run_unit)::interval
  ) local (at)
  cross join lateral (select local.at at time zone 'UTC') starts (at)
  left join usage.rollup_ledger ledger
    on ledger.rollup = step.rollup and ledger.period_start = starts.at
),
periods_below as (
  select
    starts.at as period_start, ledger.state, ledger.checksum,
    coalesce(ledger.state = 'partial' or ledger.covered_until < ledger.period_end, false) as is_cut_short
  from step
  cross join lateral (
    select pg_catalog.min(periods.period_start) as begins, pg_catalog.max(periods.period_end) as ends from periods
  ) reach
  cross join lateral pg_catalog.generate_series(
    reach.begins at time zone 'UTC', reach.ends at time zone 'UTC' - interval '1 microsecond',
    ('1 ' || step.unit_below)::interval
  ) local (at)
  cross join lateral (select local.at at time zone 'UTC') starts (at)
  left join usage.rollup_ledger ledger
    on ledger.rollup = step.below and ledger.period_start = starts.at
  where step.below is not null
),
seen as (
  select
    periods.period_start, periods.period_end, periods.state, periods.covered_until, periods.below,
    coalesce(pg_catalog.bool_or(below.is_cut_short), false) as is_cut_short_below,
    coalesce(pg_catalog.bool_or(case
      when below.state in ('open', 'sealed') then false
      when below.state = 'pruned' then true
      else below.period_start is not null and usage_private.is_gone(step.below, below.period_start)
    end), false) as is_pruned_below,
    coalesce(
      pg_catalog.jsonb_object_agg(
        pg_catalog.to_char(below.period_start at time zone 'UTC', 'YYYY-MM-DD'), below.checksum
      ) filter (where below.state in ('open', 'sealed')), '{}') as stands_below
  from step
  cross join periods
  left join periods_below below
    on below.period_start >= periods.period_start and below.period_start < periods.period_end
  group by periods.period_start, periods.period_end, periods.state, periods.covered_until, periods.below
),
judged as (
  select
    seen.period_start, seen.period_end,
    case
      when seen.state is null then 'never computed'
      when seen.state = 'partial' then 'partial'
      when step.run_unit = 'day' and seen.period_end > step.clock - interval '1 day' then 'recent'
      when seen.state = 'open' and step.clock >= seen.period_end + step.grace then 'unsealed'
      when seen.state = 'open' and seen.covered_until < seen.period_end and step.clock >= seen.period_end
        and not coalesce((step.below is null or seen.is_pruned_below) and seen.period_start < step.horizon, false)
        and (seen.is_pruned_below or not seen.is_cut_short_below) then 'cut short'
      when step.below is not null and not seen.is_pruned_below and seen.below <> seen.stands_below
        then 'changed below'
    end as reason
  from step
  cross join seen
  where seen.state in ('open', 'sealed')
    or coalesce(seen.state, 'partial') = 'partial'
      and not usage_private.is_gone(step.rollup, seen.period_start)
      and not coalesce(
        seen.state is null and seen.period_start < step.horizon
          and (step.below is null or seen.is_pruned_below), false)
)
select judged.period_start, judged.period_end, judged.reason
from judged
where judged.reason is not null
order by judged.period_start
