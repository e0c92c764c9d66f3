-- Marks a backfill or a run as alive for as long as this session lives. Binds: lock_key.
select pg_catalog.pg_advisory_lock(cast(:lock_key as bigint))
