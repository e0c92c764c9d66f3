-- A valid index of the whole table that begins with the column; NULL if there is none (a partial one may be
-- of other rows). Binds: table_name, column_name.
select pg_catalog.min(found.relname::text)
from pg_catalog.pg_index index
join pg_catalog.pg_class found on found.oid = index.indexrelid
join pg_catalog.pg_class relation on relation.oid = index.indrelid
join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
join pg_catalog.pg_attribute attribute
  on attribute.attrelid = relation.oid and attribute.attnum = index.indkey[0]
where namespace.nspname || '.' || relation.relname = cast(:table_name as text)
  and attribute.attname = cast(:column_name as text)
  and index.indisvalid
  and index.indpred is null
