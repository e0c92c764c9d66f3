-- The periods of a range that these runs have finished: read to their end, by this code. What was covered in part
-- is not finished, nor what was made from a period below that has changed since.
-- Binds: rollup, window_start, window_end, run_ids, code_version.
select
  ledger.period_start, ledger.period_end, ledger.state, ledger.covered_until, ledger.source_rows,
  ledger.states, ledger.stored_rows, ledger.hourly_rows, ledger.totals, ledger.checksum, ledger.kept_rows, ledger.kept
from usage.rollup_ledger ledger
where ledger.rollup = :rollup
  and ledger.period_start >= cast(:window_start as timestamptz)
  and ledger.period_start < cast(:window_end as timestamptz)
  and ledger.run_id = any (cast(:run_ids as text[]))
  and ledger.code_version = :code_version
  and ledger.state <> 'partial'
  and ledger.covered_until = ledger.period_end
  and not exists (
    select
    from usage_private.ladder() step
    cross join lateral pg_catalog.jsonb_each_text(ledger.below) made_from (period_start, checksum)
    join usage.rollup_ledger lower
      on lower.rollup = step.below
      and lower.period_start = cast(made_from.period_start as timestamp) at time zone 'UTC'
    where step.rollup = ledger.rollup and lower.checksum <> made_from.checksum
  )
