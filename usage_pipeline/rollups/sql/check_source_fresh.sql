-- check_source_fresh: one row: whether the source has been silent for longer than it usually is, or is empty, whatever
-- the ledger remembers.
-- Usual is what the ledger knows of the hours of the last 28 days: of each seven days the longest silence between two
-- hours with rows, and of these the median, so that one outage is no habit, and quiet weekends are one. Twice that
-- is allowed, and in any case 26 hours, as of the days themselves. Fewer than seven days with rows tell no habit.
-- Only where no computed hour is recent enough the source itself is asked, for any one row of the time allowed.
-- Binds: rollup.
with days as (
  select
    ledger.period_start,
    ledger.hourly_rows,
    -- the same for days that follow each other: across a day that is not computed nothing is known
    ledger.period_start - pg_catalog.row_number() over (order by ledger.period_start) * interval '1 day' as stretch
  from usage.rollup_ledger ledger
  where ledger.rollup = :rollup
    and ledger.period_start > usage_private.now() - interval '29 days'
    and ledger.period_start <= usage_private.now()
    and ledger.state in ('open', 'sealed')
    and ledger.hourly_rows is not null
),
hours as (
  select
    days.period_start,
    hour.starts,
    hour.starts - pg_catalog.lag(hour.starts) over (partition by days.stretch order by hour.starts) as silence,
    pg_catalog.floor(extract(epoch from usage_private.now() - hour.starts) / 604800) as weeks_ago
  from days
  cross join lateral pg_catalog.unnest(days.hourly_rows) with ordinality counted (row_count, number)
  cross join lateral (select days.period_start + (counted.number - 1) * interval '1 hour') hour (starts)
  where counted.row_count > 0
),
weeks as (
  select pg_catalog.max(hours.silence) as longest
  from hours
  where hours.weeks_ago < 4
  group by hours.weeks_ago
),
known as materialized ( -- else each mention would ask again, and no function with a subselect is inlined
  select
    (select pg_catalog.percentile_cont(0.5) within group (order by weeks.longest) from weeks) as usual,
    (select pg_catalog.count(distinct hours.period_start) from hours) as day_count,
    (select pg_catalog.max(hours.starts) from hours) as last_hour
),
heard as materialized (
  select
    habit.*,
    allowed.time as allowed,
    -- a source that hides its rows would look empty, and silent
    case when (select pg_catalog.count(*) from usage_private.require_readable()) > 0
      then usage_private.any_event(:rollup, '2000-01-01 00:00:00+00', usage_private.now() + interval '1 day') is null
      end as is_empty,
    case
      when not habit.is_known or habit.last_hour >= usage_private.now() - allowed.time then habit.last_hour
      when (select pg_catalog.count(*) from usage_private.require_readable()) > 0 then greatest(
          habit.last_hour,
          usage_private.any_event(:rollup, usage_private.now() - allowed.time, usage_private.now())
        )
    end as last_at
  from (
    select known.*, known.day_count >= 7 and known.usual is not null as is_known
    from known
  ) habit
  cross join lateral (select greatest(2 * habit.usual, interval '26 hours')) allowed (time)
)
select
  usage_private.start_of('day', coalesce(heard.last_at, usage_private.now())) as period_start,
  case
    when heard.is_empty then 'broken'
    when heard.is_known and heard.last_at < usage_private.now() - heard.allowed then 'broken' else 'holds'
  end as verdict,
  case
    when heard.is_empty and heard.last_at is null then 'the source holds no ' || called.event
    when heard.is_empty then pg_catalog.format('the source holds no %s; the last that were computed are of %s UTC', called.event,
      pg_catalog.to_char(heard.last_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
    when not heard.is_known
      then pg_catalog.format('%s days with %s in the last 28 tell no habit: seven do', heard.day_count, called.events)
    else pg_catalog.format('the last %s seen are of %s UTC, %s hours ago; usually it is silent for %s at most', called.events,
      pg_catalog.to_char(heard.last_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), silent.hours, usual.hours)
  end as why,
  silent.hours as silent_hours,
  usual.hours as usual_silence_hours,
  pg_catalog.round(extract(epoch from heard.allowed) / 3600, 1) as allowed_silence_hours
from heard
cross join lateral (
  select pg_catalog.round(extract(epoch from usage_private.now() - heard.last_at) / 3600, 1)
) silent (hours)
cross join lateral (select pg_catalog.round(extract(epoch from heard.usual) / 3600, 1)) usual (hours)
cross join (
  select source.event, source.events
  from usage_private.ladder() step
  join usage_private.families() source on source.family = step.family
  where step.rollup = :rollup
) called
