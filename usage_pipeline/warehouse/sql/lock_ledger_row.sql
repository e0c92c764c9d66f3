-- Holds one period until the transaction ends. Binds: rollup, period_start.
select ledger.state
from usage.rollup_ledger ledger
where ledger.rollup = :rollup and ledger.period_start = cast(:period_start as timestamptz)
for update
