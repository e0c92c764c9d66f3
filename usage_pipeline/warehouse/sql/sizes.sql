-- The bytes of this database, and those of our own tables and their indexes in it.
select
  pg_catalog.pg_database_size(pg_catalog.current_database()) as database_bytes,
  coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(relation.oid)), 0) as our_bytes
from pg_catalog.pg_class relation
join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
where namespace.nspname in ('usage', 'usage_private', 'usage_parts') and relation.relkind = 'r'
