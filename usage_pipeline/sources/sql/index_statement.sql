-- The statement that makes an index on one column, without holding up whoever writes; no row where none can stand.
-- A partitioned table knows no such way. Binds: table_name, column_name.
select pg_catalog.format(
  'create index %son %I.%I (%I)', case relation.relkind when 'p' then '' else 'concurrently ' end,
  namespace.nspname, relation.relname, attribute.attname)
from pg_catalog.pg_class relation
join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
join pg_catalog.pg_attribute attribute
  on attribute.attrelid = relation.oid and attribute.attname = cast(:column_name as text)
where namespace.nspname || '.' || relation.relname = cast(:table_name as text)
  and relation.relkind in ('r', 'p', 'm')
  and not attribute.attisdropped
