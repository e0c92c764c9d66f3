-- Marks a backfill as alive for as long as this session lives; false if another session does. Binds: backfill_id.
select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('usage_pipeline.backfills'), cast(:backfill_id as integer))
