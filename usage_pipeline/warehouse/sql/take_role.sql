-- Makes a new session one role for good: run outside a transaction, so that no rollback undoes it. Or, in a session
-- that a pooler shares with others, for one transaction: whoever comes next finds nothing of ours.
-- Binds: role, lock_timeout, for_transaction, session (its number as the client was told it; NULL: do not compare).
-- A client whose machine is gone is noticed within two minutes: what its session holds ends with it.
-- No row, and nothing is set, where the server gives it another number: a pooler stands in between.
select
  pg_catalog.set_config('role', %(role)s, %(for_transaction)s),
  pg_catalog.set_config('TimeZone', 'UTC', %(for_transaction)s),
  pg_catalog.set_config('search_path', '', %(for_transaction)s),
  pg_catalog.set_config('DateStyle', 'ISO', %(for_transaction)s),
  pg_catalog.set_config('client_encoding', encoding.of_client, %(for_transaction)s),
  pg_catalog.set_config('row_security', 'on', %(for_transaction)s),
  pg_catalog.set_config('default_transaction_isolation', 'read committed', %(for_transaction)s),
  pg_catalog.set_config('statement_timeout', '0', %(for_transaction)s),
  pg_catalog.set_config('lock_timeout', %(lock_timeout)s, %(for_transaction)s),
  pg_catalog.set_config('idle_in_transaction_session_timeout', '5min', %(for_transaction)s),
  pg_catalog.set_config('idle_session_timeout', '0', %(for_transaction)s),
  pg_catalog.set_config('tcp_keepalives_idle', '60', %(for_transaction)s),
  pg_catalog.set_config('tcp_keepalives_interval', '10', %(for_transaction)s),
  pg_catalog.set_config('tcp_keepalives_count', '3', %(for_transaction)s),
  pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', %(for_transaction)s)
from (
  select case pg_catalog.current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end
) encoding(of_client)
where cast(%(session)s as integer) is null or cast(%(session)s as integer) = pg_catalog.pg_backend_pid()
