-- What sealed periods keep beyond their source, user by user, newest period first: messages and tokens that are stored
-- and that the source no longer has (has more, if negative). Binds: rollup, window_start, window_end, user_id (each
-- NULL: all), most.
select
  ledger.rollup,
  coalesce(usage_private.in_words(step.run_unit, ledger.period_start), ledger.period_start::date::text) as period,
  ledger.period_start,
  kept.user_id,
  kept.messages,
  kept.tokens,
  ledger.computed_at as looked_at,
  pg_catalog.count(*) over () as all_count
from usage.rollup_ledger ledger
left join usage_private.ladder() step on step.rollup = ledger.rollup
cross join lateral (
  select
    entry.key::uuid as user_id,
    (entry.value ->> 'message_count')::bigint as messages,
    (entry.value ->> 'total_tokens')::bigint as tokens
  from pg_catalog.jsonb_each(ledger.kept) entry
) kept
where ledger.kept <> '{}'
  and (cast(:rollup as text) is null or ledger.rollup = cast(:rollup as text))
  and (cast(:user_id as uuid) is null or kept.user_id = cast(:user_id as uuid))
  and (cast(:window_end as timestamptz) is null or ledger.period_start < cast(:window_end as timestamptz))
  and (cast(:window_start as timestamptz) is null or ledger.period_end > cast(:window_start as timestamptz))
order by ledger.period_start desc, ledger.rollup, kept.user_id
limit cast(:most as bigint)
