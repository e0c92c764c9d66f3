-- The newest period of a rollup that was computed, or of those the newest that has stored rows; NULL if none.
-- Binds: rollup, with_rows.
select pg_catalog.max(ledger.period_start)
from usage.rollup_ledger ledger
where ledger.rollup = :rollup and ledger.state <> 'partial' and ledger.covered_until is not null
  and (not cast(:with_rows as boolean) or (ledger.stored_rows > 0 and ledger.state <> 'pruned'))
