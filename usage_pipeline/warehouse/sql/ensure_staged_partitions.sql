-- Creates the partitions that the rows of the stage need, and no other. Identifiers: stage.
select pg_catalog.count(usage_private.ensure_partitions(needed.period_type, needed.period_start, needed.period_end))
from (select distinct staged.period_type, staged.period_start, staged.period_end from {stage} staged) needed
