-- True while a restatement names a transaction that this server has not begun: it was restored from another one, and
-- the transaction that gets this number one day would pass the seal of its row.
select exists (
  select
  from usage.restatements restated
  where restated.transaction_id >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
)
