-- What these users are called: at most one row per user, none for whoever has no name. Binds: user_ids.
select named.user_id, named.label
from usage.user_directory() named
where named.user_id = any (cast(:user_ids as uuid[])) and named.label is not null
