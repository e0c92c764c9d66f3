-- How many rows the planner expects in a range, at once and without reading them.
-- Place: contract. Binds: window_start, window_end.
explain (format json)
select
from usage.{contract}(%(window_start)s::timestamptz, %(window_end)s::timestamptz)
