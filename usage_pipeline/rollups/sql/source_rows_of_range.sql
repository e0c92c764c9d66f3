-- How many answers the source holds for a range; no JSON is read. Binds: window_start, window_end.
select pg_catalog.count(*)
from usage.token_events(cast(:window_start as timestamptz), cast(:window_end as timestamptz))
