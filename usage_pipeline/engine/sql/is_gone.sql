-- is_gone: whether a period that was never run counts as pruned.

create or replace function usage_private.is_gone(rollup text, period_start timestamptz)
returns boolean
language sql stable parallel safe
set plan_cache_mode = force_generic_plan -- asked for many periods: planned for each of them it would cost ten times as much
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
