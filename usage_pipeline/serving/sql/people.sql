-- Whom the directory calls so: one row per user with this id, or whose label holds these words; an error where the
-- directory cannot be read. Binds: user_id (NULL: search by name), wanted.
select named.user_id, named.label
from usage_private.user_labels() named
where named.user_id = cast(:user_id as uuid)
  or (cast(:user_id as uuid) is null
    and pg_catalog.strpos(pg_catalog.lower(named.label), pg_catalog.lower(cast(:wanted as text))) > 0)
order by named.label, named.user_id
