-- Marks a backfill or a process as alive for as long as this session lives, and says in which database, because the
-- same number is free in every other. Binds: lock_key.
select base.oid::bigint as database, pg_catalog.pg_advisory_lock(cast(:lock_key as bigint))
from pg_catalog.pg_database base
where base.datname = pg_catalog.current_database()
