-- No statement of this transaction takes longer, waiting for a lock included. Binds: milliseconds.
select pg_catalog.set_config('statement_timeout', cast(cast(:milliseconds as integer) as text), true)
