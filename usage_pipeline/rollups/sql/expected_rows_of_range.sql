-- How many rows the planner expects in a range, at once and without reading them.
-- Places: contract, window_start, window_end.
explain (format json)
select
from usage.{contract}({window_start}::timestamptz, {window_end}::timestamptz)
