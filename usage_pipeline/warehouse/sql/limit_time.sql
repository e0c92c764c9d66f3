-- No statement of this transaction takes longer. Binds: milliseconds.
select pg_catalog.set_config('statement_timeout', cast(cast(:milliseconds as integer) as text), true)
