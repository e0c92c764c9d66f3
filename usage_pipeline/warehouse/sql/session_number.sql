-- The server's own number of this session; behind a pooler the client was told another one.
select pg_catalog.pg_backend_pid()
