-- Changes of sealed rows, and of open ones whose loss was accepted, newest first: whose, of which period, before and after, why, when and by which run; and how
-- many there are in all. Binds: rollup, window_start, window_end, user_id (each NULL: all), most.
select
  restated.rollup,
  coalesce(usage_private.in_words(step.run_unit, restated.period_start), restated.period_start::date::text) as period,
  restated.period_start,
  (restated.key ->> 'user_id')::uuid as user_id,
  (restated.before ->> 'message_count')::bigint as messages_before,
  (restated.after ->> 'message_count')::bigint as messages_after,
  (restated.before ->> 'total_tokens')::bigint as tokens_before,
  (restated.after ->> 'total_tokens')::bigint as tokens_after,
  restated.reason,
  restated.restated_at,
  restated.run_id,
  pg_catalog.count(*) over () as all_count
from usage.restatements restated
left join usage_private.ladder() step on step.rollup = restated.rollup
where (cast(:rollup as text) is null or restated.rollup = cast(:rollup as text))
  and (cast(:user_id as uuid) is null or restated.key ->> 'user_id' = cast(cast(:user_id as uuid) as text))
  and (cast(:window_end as timestamptz) is null or restated.period_start < cast(:window_end as timestamptz))
  and (
    cast(:window_start as timestamptz) is null
    or coalesce(usage_private.end_of(step.run_unit, restated.period_start), restated.period_start)
      > cast(:window_start as timestamptz)
  )
order by restated.id desc
limit cast(:most as bigint)
