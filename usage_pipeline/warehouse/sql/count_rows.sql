-- How many rows a table has. Identifiers: table.
select pg_catalog.count(*) from {table}
