-- How many rows the source holds for a range; no JSON is read. Places: contract, window_start, window_end.
select pg_catalog.count(*)
from usage.{contract}({window_start}::timestamptz, {window_end}::timestamptz)
