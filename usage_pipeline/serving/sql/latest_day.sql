-- The newest day of tokens that was computed; NULL if none was.
select pg_catalog.max(ledger.period_start)
from usage.rollup_ledger ledger
where ledger.rollup = 'tokens_daily' and ledger.state <> 'partial' and ledger.covered_until is not null
