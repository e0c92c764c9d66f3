-- NULL until the first revision has run; else whether this role may read which one was the newest.
select (
  select pg_catalog.has_schema_privilege(namespace.oid, 'usage') and pg_catalog.has_table_privilege(relation.oid, 'select')
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  where namespace.nspname = 'usage_private' and relation.relname = 'schema_version'
)
