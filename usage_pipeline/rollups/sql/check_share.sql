-- check_share: one row: whether the share of some source rows, on the newest day that is computed to its end, is what it was
-- on the 28 days before. Usual is their median, give or take five times the median distance from it, and five points in
-- any case: one odd day neither moves nor widens it. Usual is also what so few rows give by chance, and what the same
-- weekday had, give or take five points. A day with fewer than 50 rows has no share, and fewer than seven such days
-- are no habit. It is the database's newest day, not the run's: a run over old days neither clears nor raises it.
-- Binds: rollup, share (a state of the ledger: unmetered, unattributed).
with complete as not materialized ( -- a search for the newest day, then a range of 28
  select ledger.*
  from usage.rollup_ledger ledger
  where ledger.rollup = :rollup
    and ledger.period_start <= usage_private.now()
    and ledger.state in ('open', 'sealed')
    and ledger.covered_until = ledger.period_end
    and ledger.source_rows is not null
),
last as (
  select complete.period_start
  from complete
  order by complete.period_start desc
  limit 1
),
days as (
  select
    complete.period_start,
    complete.source_rows as source_rows,
    (complete.states ->> cast(:share as text))::bigint as in_it
  from last
  join complete on complete.period_start >= last.period_start - interval '28 days'
),
newest as (
  select
    days.period_start, days.source_rows, days.in_it,
    100.0 * days.in_it / nullif(days.source_rows, 0) as percent
  from last
  join days on days.period_start = last.period_start
),
before as (
  select
    100.0 * days.in_it / days.source_rows as percent,
    extract(isodow from days.period_start at time zone 'UTC')
      = extract(isodow from newest.period_start at time zone 'UTC') as is_same_weekday
  from newest
  join days on days.period_start < newest.period_start
  where days.source_rows >= 50
),
middle as (
  select
    pg_catalog.count(*) as day_count,
    pg_catalog.percentile_cont(0.5) within group (order by before.percent) as percent,
    pg_catalog.min(before.percent) filter (where before.is_same_weekday) - 5 as least_of_weekday,
    pg_catalog.max(before.percent) filter (where before.is_same_weekday) + 5 as most_of_weekday
  from before
),
usual as (
  select
    middle.*,
    greatest(5 * (
      select pg_catalog.percentile_cont(0.5) within group (order by pg_catalog.abs(before.percent - middle.percent))
      from before
    ), 4 * pg_catalog.sqrt(middle.percent * (100 - middle.percent) / nullif(newest.source_rows, 0)), 5) as leeway
  from middle
  left join newest on true
),
shown as (
  select
    newest.period_start, newest.source_rows, newest.in_it, usual.day_count,
    pg_catalog.round(newest.percent, 1) as percent,
    pg_catalog.round(usual.percent::numeric, 1) as usual_percent,
    pg_catalog.round(usual.leeway::numeric, 1) as leeway,
    newest.source_rows >= 50 and usual.day_count >= 7 as is_judged,
    pg_catalog.abs(newest.percent - usual.percent) > usual.leeway
      and (newest.percent between usual.least_of_weekday and usual.most_of_weekday) is not true as is_unusual
  from usual
  left join newest on true
)
select
  shown.period_start,
  case when shown.is_judged and shown.is_unusual then 'broken' else 'holds' end as verdict,
  case
    when shown.period_start is null then 'no day is computed to its end'
    when shown.source_rows < 50 then pg_catalog.format('%s %s are too few to have a share: fifty do', shown.source_rows, called.events)
    when shown.day_count < 7
      then pg_catalog.format('%s days of fifty %s in the 28 before tell no habit: seven do', shown.day_count,
        called.events)
    else pg_catalog.format('%s of %s %s, %s %%; usual are %s %%, give or take %s',
      shown.in_it, shown.source_rows, called.events, shown.percent, shown.usual_percent, shown.leeway)
  end as why,
  shown.percent as share_percent,
  case when shown.is_judged then shown.usual_percent end as usual_percent,
  case when shown.is_judged then shown.leeway end as leeway_percent,
  shown.source_rows
from shown
cross join (
  select source.events
  from usage_private.ladder() step
  join usage_private.families() source on source.family = step.family
  where step.rollup = :rollup
) called
