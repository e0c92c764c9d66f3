-- What a period took by the last two hundred that were computed, whatever it was read from; NULL where nothing was
-- computed yet. Binds: rollup.
select pg_catalog.avg(last.duration_ms)::float8 as ms_per_period
from (
  select ledger.duration_ms
  from usage.rollup_ledger ledger
  where ledger.rollup = :rollup and ledger.duration_ms is not null
  order by ledger.computed_at desc
  limit 200
) last
