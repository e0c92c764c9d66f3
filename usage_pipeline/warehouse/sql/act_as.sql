-- Makes this transaction one role, until it ends or the next call; what is rolled back takes that back too. Binds: role.
select pg_catalog.set_config('role', :role, true)
