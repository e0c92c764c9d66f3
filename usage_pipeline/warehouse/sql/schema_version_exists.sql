-- True once the first revision has run.
select pg_catalog.to_regclass('usage_private.schema_version') is not null

