-- What a period costs by the last two hundred that were computed: a part for itself and a part for each row.
-- One row; NULL where nothing was computed yet. Binds: rollup.
select
  case
    when fitted.ms_per_row >= 0 and fitted.ms_per_period >= 0 then fitted.ms_per_row
    else fitted.duration_ms / nullif(fitted.source_rows, 0)
  end as ms_per_row,
  case
    when fitted.ms_per_row >= 0 and fitted.ms_per_period >= 0 then fitted.ms_per_period
    when fitted.source_rows > 0 then 0
    else fitted.duration_ms
  end as ms_per_period
from (
  select
    pg_catalog.regr_slope(last.duration_ms, last.source_rows) as ms_per_row,
    pg_catalog.regr_intercept(last.duration_ms, last.source_rows) as ms_per_period,
    pg_catalog.avg(last.duration_ms)::float8 as duration_ms,
    pg_catalog.avg(last.source_rows)::float8 as source_rows
  from (
    select ledger.duration_ms, ledger.source_rows
    from usage.rollup_ledger ledger
    where ledger.rollup = :rollup and ledger.duration_ms is not null
    order by ledger.computed_at desc
    limit 200
  ) last
) fitted
