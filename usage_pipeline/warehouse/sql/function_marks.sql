-- One row per function of ours: its name and the mark of the file that made it; none if its body was altered since.
select namespace.nspname || '.' || function.proname as name,
  case when pg_catalog.right(described.comment, 33) = ' ' || pg_catalog.md5(function.prosrc)
    then pg_catalog.left(described.comment, -33) else '' end as mark
from pg_catalog.pg_proc function
join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
cross join lateral (
  select coalesce(pg_catalog.obj_description(function.oid, 'pg_proc'), '') as comment
) described
where namespace.nspname in ('usage', 'usage_private')
