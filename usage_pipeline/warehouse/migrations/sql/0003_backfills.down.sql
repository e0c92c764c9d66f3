-- Takes the record of backfills away, and what the ledger learned with it.
alter table usage.rollup_ledger drop column duration_ms, drop column hourly_rows;
drop table usage.backfills;
