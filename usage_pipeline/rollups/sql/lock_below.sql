-- lock_below: every period below a window, oldest first, with how it stands; those that have a row of the ledger are
-- held until the transaction ends, so that what is read of them is what was looked at.
-- stands: open or sealed, its rows are the answer below covered_until; pruned: its rows are gone, or never were and
-- their month or year is pruned; empty: before the first day, to come, or before the source's horizon; missing:
-- never computed; partial: only the seed's function touched it.

create or replace function usage_private.is_gone(rollup text, period_start timestamptz)
returns boolean
language sql stable parallel safe
set plan_cache_mode = force_generic_plan -- asked for many periods: planned anew for each it would cost ten times as much
as $$
  -- Whether a period that was never run counts as pruned: the month (the year) it goes with is pruned, or another of
  -- its periods is; or that month was never run either, and counts as pruned itself.
  select exists (
    select
    from usage_private.ladder() step
    join usage_private.ladder() upper on upper.rollup = step.pruned_with
    cross join lateral (select usage_private.start_of(upper.run_unit, is_gone.period_start)) whole (starts)
    where step.rollup = is_gone.rollup
      and (
        exists (
          select
          from usage.rollup_ledger sibling
          where sibling.rollup = step.rollup and sibling.state = 'pruned'
            and sibling.period_start >= whole.starts
            and sibling.period_start < usage_private.end_of(upper.run_unit, whole.starts)
        )
        or case (
          select ledger.state
          from usage.rollup_ledger ledger
          where ledger.rollup = upper.rollup and ledger.period_start = whole.starts
        )
          when 'pruned' then true
          when 'open' then false
          when 'sealed' then false
          else exists (
            select
            from usage_private.ladder() top
            join usage.rollup_ledger cousin on cousin.rollup = upper.rollup and cousin.state = 'pruned'
            where top.rollup = upper.pruned_with
              and cousin.period_start >= usage_private.start_of(top.run_unit, whole.starts)
              and cousin.period_start < usage_private.end_of(
                top.run_unit, usage_private.start_of(top.run_unit, whole.starts))
          )
        end
      )
  )
$$;

create or replace function usage_private.lock_below(
  below text, window_start timestamptz, window_end timestamptz,
  first_day timestamptz, clock timestamptz, horizon timestamptz
)
returns table (
  period_start timestamptz, period_end timestamptz, standing text, is_sealed boolean, covered_until timestamptz,
  checksum text, totals jsonb, states jsonb
)
language sql volatile
as $$
  with held as (
    select ledger.*
    from usage.rollup_ledger ledger
    where ledger.rollup = lock_below.below
      and ledger.period_start >= lock_below.window_start and ledger.period_start < lock_below.window_end
    order by ledger.period_start
    for share
  ),
  periods as (
    select starts.at as period_start, usage_private.end_of(step.run_unit, starts.at) as period_end
    from usage_private.ladder() step
    cross join lateral pg_catalog.generate_series(
      lock_below.window_start at time zone 'UTC',
      lock_below.window_end at time zone 'UTC' - interval '1 microsecond',
      ('1 ' || step.run_unit)::interval
    ) local (at)
    cross join lateral (select local.at at time zone 'UTC') starts (at)
    where step.rollup = lock_below.below
  )
  select
    periods.period_start,
    periods.period_end,
    case
      when held.state in ('open', 'sealed') then 'stands'
      when held.state = 'pruned' or usage_private.is_gone(lock_below.below, periods.period_start) then 'pruned'
      when periods.period_end <= lock_below.first_day or periods.period_start > lock_below.clock then 'empty'
      when held.state is null and periods.period_start < lock_below.horizon then 'empty'
      when held.state = 'partial' then 'partial'
      else 'missing'
    end,
    coalesce(held.state = 'sealed', false),
    held.covered_until,
    held.checksum,
    held.totals,
    held.states
  from periods
  left join held on held.period_start = periods.period_start and held.computed_at is not null
  order by periods.period_start
$$;
