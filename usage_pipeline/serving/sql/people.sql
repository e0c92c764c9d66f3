-- Who an id or a part of a name stands for: the directory, and whoever has usage without a name.
-- Binds: wanted, user_id (NULL if `wanted` is no id).
with directory as materialized (
  select named.user_id, named.label from usage.user_directory() named
)
select directory.user_id, directory.label
from directory
where directory.user_id = cast(:user_id as uuid)
  or (cast(:user_id as uuid) is null
    and pg_catalog.strpos(pg_catalog.lower(directory.label), pg_catalog.lower(cast(:wanted as text))) > 0)
union
select cast(:user_id as uuid), null
where exists (
  select
  from usage.user_token_usage stored
  where stored.period_type in ('daily', 'weekly', 'monthly', 'yearly') and stored.user_id = cast(:user_id as uuid)
    and stored.period_start >= '2000-01-01 00:00:00+00' and stored.period_start < usage_private.now()
)
and not exists (
  select
  from directory
  where directory.user_id = cast(:user_id as uuid)
)
order by label, user_id
