-- One row per column of these tables. Binds: tables.
select
  wanted.name as table_name,
  attribute.attname::text as column_name,
  pg_catalog.format_type(attribute.atttypid, attribute.atttypmod) as column_type
from pg_catalog.unnest(cast(:tables as text[])) wanted (name)
join pg_catalog.pg_class relation on relation.relkind in ('r', 'p', 'v', 'm', 'f')
join pg_catalog.pg_namespace namespace
  on namespace.oid = relation.relnamespace and namespace.nspname || '.' || relation.relname = wanted.name
join pg_catalog.pg_attribute attribute
  on attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
order by wanted.name, attribute.attnum
