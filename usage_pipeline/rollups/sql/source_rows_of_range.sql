-- How many rows the source holds for a range; no JSON is read. Place: contract. Binds: window_start, window_end.
select pg_catalog.count(*)
from usage.{contract}(%(window_start)s::timestamptz, %(window_end)s::timestamptz)
