-- How many answers lie before a day and so belong to no partition of ours. Binds: window_end.
select pg_catalog.count(*)
from usage.token_events('2000-01-01 00:00:00+00', cast(:window_end as timestamptz))
