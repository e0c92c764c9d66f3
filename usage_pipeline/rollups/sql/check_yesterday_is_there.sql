-- check_yesterday_is_there: one row: whether yesterday, by the database's clock, is computed to its end. The night has
-- until four for it: before that the day before is asked for, since whatever runs at one has not come to yesterday yet.
-- Binds: rollup.
select
  yesterday.starts as period_start,
  case when judged.lacking is null then 'holds' else 'broken' end as verdict,
  coalesce(judged.lacking, judged.fine) as why,
  case when judged.lacking is null then 0 else pg_catalog.round(
    extract(epoch from yesterday.ends - coalesce(ledger.covered_until, yesterday.starts)) / 3600, 1)
  end as missing_hours
from usage_private.ladder() step
cross join lateral (
  select
    ended.at - interval '1 day', ended.at,
    case when ended.at = usage_private.start_of('day', usage_private.now()) then 'yesterday'
      else 'the day before yesterday' end
  from (select usage_private.start_of('day', usage_private.now() - interval '4 hours')) ended (at)
) yesterday (starts, ends, called)
left join usage.rollup_policy policy on policy.family = step.family
left join usage.source_horizon horizon on horizon.family = step.family
left join usage.rollup_ledger ledger
  on ledger.rollup = step.rollup and ledger.period_start = yesterday.starts and ledger.computed_at is not null
cross join lateral (
  select
    case
      when policy.family is null then 'nothing was computed here yet'
      when yesterday.ends <= policy.first_day::timestamp at time zone 'UTC'
        then pg_catalog.format('%s lies before the first day %s', yesterday.called, policy.first_day)
      when ledger.period_start is null and yesterday.starts < horizon.begins_at
        then yesterday.called || ' begins before the source''s horizon: it counts as computed and empty'
      when ledger.state <> 'partial' and ledger.covered_until = yesterday.ends
        then yesterday.called || ' is computed to its end'
    end
) known (fine)
cross join lateral (
  select
    known.fine,
    case
      when known.fine is not null then null
      when ledger.period_start is null then yesterday.called || ' was never computed'
      when ledger.state = 'partial' then yesterday.called || ' was never computed, only some of its users'
      else pg_catalog.format('%s is computed up to %s UTC', yesterday.called,
        pg_catalog.to_char(ledger.covered_until at time zone 'UTC', 'HH24:MI'))
    end
) judged (fine, lacking)
where step.rollup = :rollup
