-- The window of the newest periods of a rollup, up to the one that holds the database's clock. Binds: rollup, most.
select
  current.starts - (cast(:most as integer) - 1) * ('1 ' || step.run_unit)::interval as window_start,
  usage_private.end_of(step.run_unit, current.starts) as window_end
from usage_private.ladder() step
cross join lateral (select usage_private.start_of(step.run_unit, usage_private.now())) current (starts)
where step.rollup = :rollup
