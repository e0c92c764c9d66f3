-- No lock is waited for longer than this in this transaction. Binds: milliseconds.
select pg_catalog.set_config('lock_timeout', cast(cast(:milliseconds as integer) as text), true)
