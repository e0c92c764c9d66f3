-- The newest period of a rollup that was computed; NULL if none was. Binds: rollup.
select pg_catalog.max(ledger.period_start)
from usage.rollup_ledger ledger
where ledger.rollup = :rollup and ledger.state <> 'partial' and ledger.covered_until is not null
