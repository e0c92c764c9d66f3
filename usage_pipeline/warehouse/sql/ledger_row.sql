-- What the ledger says of one period; no row if it was never computed. Binds: rollup, period_start.
select
  ledger.period_start, ledger.period_end, ledger.state, ledger.covered_until,
  coalesce(ledger.source_rows, 0) as source_rows, coalesce(ledger.unattributed_rows, 0) as unattributed_rows,
  coalesce(ledger.total_only_rows, 0) as total_only_rows, coalesce(ledger.unmetered_rows, 0) as unmetered_rows,
  coalesce(ledger.refused_rows, 0) as refused_rows, ledger.stored_rows,
  ledger.hourly_rows, ledger.totals, ledger.checksum, ledger.kept_rows, kept.tokens as kept_tokens
from usage.rollup_ledger ledger
cross join lateral (
  select coalesce(pg_catalog.sum((each.value ->> 'tokens')::bigint), 0)::bigint as tokens
  from pg_catalog.jsonb_each(ledger.kept) each
) kept
where ledger.rollup = :rollup and ledger.period_start = cast(:period_start as timestamptz)
