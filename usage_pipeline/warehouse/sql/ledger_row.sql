-- What the ledger says of one period; no row if it was never computed. Binds: rollup, period_start.
select
  ledger.period_start, ledger.period_end, ledger.state, ledger.covered_until,
  coalesce(ledger.source_rows, 0) as source_rows, ledger.states, ledger.stored_rows, ledger.hourly_rows, ledger.totals,
  ledger.checksum, ledger.kept_rows, ledger.kept
from usage.rollup_ledger ledger
where ledger.rollup = :rollup and ledger.period_start = cast(:period_start as timestamptz)
