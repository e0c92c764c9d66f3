-- Holds one period until the transaction ends; what the last run left in it. Binds: rollup, period_start.
select ledger.source_rows, ledger.totals
from usage.rollup_ledger ledger
where ledger.rollup = :rollup and ledger.period_start = cast(:period_start as timestamptz)
for update
