-- Lets the sequence behind a column go on after this value. Binds: table_name, column_name, value.
select pg_catalog.setval(counter.name, greatest(
  cast(:value as bigint), coalesce(pg_catalog.pg_sequence_last_value(counter.name), 0)))
from (
  select cast(pg_catalog.pg_get_serial_sequence(:table_name, :column_name) as regclass)
) counter (name)
where counter.name is not null
