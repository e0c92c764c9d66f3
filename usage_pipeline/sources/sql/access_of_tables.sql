-- One row per table and role: what the role may read of the table. Binds: tables, roles.
select access.*
from usage_private.table_access(cast(:tables as text[]), cast(:roles as text[])) access
