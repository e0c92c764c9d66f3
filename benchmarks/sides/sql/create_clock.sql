-- The table from which a test takes the time.
create table if not exists usage_private.test_clock (instant timestamptz);
grant select on usage_private.test_clock to public
