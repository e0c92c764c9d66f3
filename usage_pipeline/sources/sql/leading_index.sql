-- A valid index that begins with the column; NULL if there is none. A partial one counts only if it holds the
-- rows that are read. Binds: table_name, column_name, row_filter (its condition in PostgreSQL's words, or NULL).
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
  and (
    index.indpred is null
    or pg_catalog.pg_get_expr(index.indpred, index.indrelid) = cast(:row_filter as text)
  )
