-- One row if the database is there. Binds: name.
select 1 from pg_catalog.pg_database where datname = %(name)s
