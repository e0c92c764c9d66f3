-- check_source_holds_rows: one row per large day of the newest that is over: whether the source still holds most of
-- what is stored, sealed days too. What lies before the horizon is declared gone and is not compared. With newest_days 0
-- it looks at the days of a window instead, and has no row where none is large.
-- Binds: rollup, window_start, window_end, newest_days, patience_ms.
with days as (
  select
    case when cast(:newest_days as integer) = 0 then cast(:window_start as timestamptz)
      else usage_private.start_of('day', usage_private.now())
        - pg_catalog.make_interval(days => cast(:newest_days as integer)) end as starts,
    case when cast(:newest_days as integer) = 0 then cast(:window_end as timestamptz)
      else usage_private.now() end as ends
),
looked_at as materialized (
  select
    lost.*,
    guard.events,
    case
      when lost.is_lost then 'broken'
      when lost.is_lost is null then 'skipped'
      else 'holds'
    end as verdict
  from days
  cross join usage_private.ladder() step
  join usage_private.families() guard on guard.family = step.family
  cross join lateral usage_private.source_losses(
    :rollup, days.starts, days.ends, pg_catalog.make_interval(secs => :patience_ms / 1000.0)
  ) lost
  where step.rollup = :rollup
)
select
  looked_at.period_start,
  looked_at.verdict,
  case looked_at.verdict
    when 'broken' then pg_catalog.format('%s %s are stored, the source has %s',
      looked_at.stored_rows, looked_at.events, looked_at.source_rows)
    when 'skipped' then 'counting them takes too long: the newest days were counted'
    else pg_catalog.format('the source has most of the %s %s that are stored', looked_at.stored_rows, looked_at.events)
  end as why,
  case when looked_at.is_lost then looked_at.stored_rows - looked_at.source_rows else 0 end as lost_rows
from looked_at
union all
select
  usage_private.start_of('day', usage_private.now()), 'holds',
  pg_catalog.format('none of the last %s days holds %s %s: fewer are not compared', :newest_days,
    guard.least_rows, guard.events),
  0
from usage_private.ladder() step
join usage_private.families() guard on guard.family = step.family
where step.rollup = :rollup and cast(:newest_days as integer) > 0 and not exists (select from looked_at)
order by period_start
