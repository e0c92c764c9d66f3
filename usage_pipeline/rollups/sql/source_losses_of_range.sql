-- The large periods of a range whose source has lost most of their messages, oldest first, however long counting takes.
-- Binds: rollup, window_start, window_end.
select lost.period_start, lost.state, lost.stored_rows, lost.source_rows
from usage_private.source_losses(
  :rollup, cast(:window_start as timestamptz), cast(:window_end as timestamptz), null
) lost
where lost.is_lost
order by lost.period_start
