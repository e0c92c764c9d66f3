-- One run at a time writes session totals, or an older sum could replace a newer one: held until the transaction ends.
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('usage_pipeline.session_totals', 0))
