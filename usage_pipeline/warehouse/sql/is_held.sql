-- Whether some session works on the backfill or the run with this lock. Binds: lock_key.
select exists (
  select
  from pg_catalog.pg_locks held
  where held.locktype = 'advisory' and held.objsubid = 1 and held.granted
    and held.database = (
      select base.oid from pg_catalog.pg_database base where base.datname = pg_catalog.current_database())
    and (held.classid::bigint << 32) | held.objid::bigint = cast(:lock_key as bigint)
)
