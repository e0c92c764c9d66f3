-- One row per function of ours: its name and the comment that tells which text made it.
select namespace.nspname || '.' || function.proname as name,
  coalesce(pg_catalog.obj_description(function.oid, 'pg_proc'), '') as mark
from pg_catalog.pg_proc function
join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
where namespace.nspname in ('usage', 'usage_private')
