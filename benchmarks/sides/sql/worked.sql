-- How long statements worked on every period of these rollups, by the product's own record. Binds: rollups.
select coalesce(sum(ledger.duration_ms), 0) / 1000.0
from usage.rollup_ledger ledger
where ledger.rollup = any(%(rollups)s)
