-- One migration at a time: held until the transaction ends.
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('usage_pipeline.migrations', 0))
