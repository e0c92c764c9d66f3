-- Declares where the raw history of a family begins (NULL: nothing was purged). It waits for the runs at work: once it
-- is committed, none reads what lies before. Binds: family, begins_at.
with waited as materialized (
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('usage.erasure', 0))
)
insert into usage.source_horizon (family, begins_at, declared_at)
select :family, coalesce(cast(:begins_at as timestamptz), '-infinity'), usage_private.now()
from waited
on conflict (family) do update set begins_at = excluded.begins_at, declared_at = excluded.declared_at
