-- Whether some session holds this lock of a backfill or of a process, and in which database that was looked for.
-- Binds: lock_key.
select base.oid::bigint as database, exists (
  select
  from pg_catalog.pg_locks held
  where held.locktype = 'advisory' and held.objsubid = 1 and held.granted and held.database = base.oid
    and (held.classid::bigint << 32) | held.objid::bigint = cast(:lock_key as bigint)
) as is_held
from pg_catalog.pg_database base
where base.datname = pg_catalog.current_database()
