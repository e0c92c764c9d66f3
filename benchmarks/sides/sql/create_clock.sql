-- The table from which a test takes the time, and the clock that reads it.
create table if not exists usage_private.test_clock (instant timestamptz);
grant select on usage_private.test_clock to public;
create or replace function usage_private.now() returns timestamptz
language sql stable parallel safe
as 'select coalesce((select clock.instant from usage_private.test_clock clock), pg_catalog.clock_timestamp())'
