-- How many answers the planner expects in a range, at once and without reading them. Binds: window_start, window_end.
explain (format json)
select
from usage.token_events(cast(:window_start as timestamptz), cast(:window_end as timestamptz))
