-- Makes a new session one role for good: run outside a transaction, so that no rollback undoes it.
-- Binds: role, lock_timeout, session (its number as the client was told it; NULL: do not compare).
-- A client whose machine is gone is noticed within two minutes: what its session holds ends with it.
-- No row, and nothing is set, where the server gives it another number: a pooler stands in between.
select
  pg_catalog.set_config('role', %(role)s, false),
  pg_catalog.set_config('TimeZone', 'UTC', false),
  pg_catalog.set_config('search_path', '', false),
  pg_catalog.set_config('DateStyle', 'ISO', false),
  pg_catalog.set_config('client_encoding', encoding.of_client, false),
  pg_catalog.set_config('row_security', 'on', false),
  pg_catalog.set_config('default_transaction_isolation', 'read committed', false),
  pg_catalog.set_config('statement_timeout', '0', false),
  pg_catalog.set_config('lock_timeout', %(lock_timeout)s, false),
  pg_catalog.set_config('idle_in_transaction_session_timeout', '5min', false),
  pg_catalog.set_config('idle_session_timeout', '0', false),
  pg_catalog.set_config('tcp_keepalives_idle', '60', false),
  pg_catalog.set_config('tcp_keepalives_interval', '10', false),
  pg_catalog.set_config('tcp_keepalives_count', '3', false),
  pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', false)
from (
  select case pg_catalog.current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end
) encoding(of_client)
where cast(%(session)s as integer) is null or cast(%(session)s as integer) = pg_catalog.pg_backend_pid()
