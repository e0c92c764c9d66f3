-- True once Dagster has made its tables in the current database.
select pg_catalog.to_regclass('public.runs') is not null
