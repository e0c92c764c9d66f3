-- The backfills that some session works on, also between two of its periods.
select running.id
from usage.backfills running
join pg_catalog.pg_locks held
  on held.locktype = 'advisory' and held.objsubid = 1 and held.granted
    and (held.classid::bigint << 32) | held.objid::bigint = running.lock_key
where running.state = 'running'
  and held.database = (
    select base.oid from pg_catalog.pg_database base where base.datname = pg_catalog.current_database())
order by running.id
