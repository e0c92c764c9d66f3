-- check_conservation: one row per computed period of a window: what its last run counted in the source, and kept.
-- Binds: rollup, window_start, window_end.
select
  ledger.period_start, null as verdict, ledger.period_end as covered_until, ledger.state = 'sealed' as is_sealed,
  ledger.source_rows, ledger.kept_rows, ledger.kept, ledger.states, ledger.totals
from usage.rollup_ledger ledger
where ledger.rollup = :rollup
  and ledger.period_start >= cast(:window_start as timestamptz)
  and ledger.period_start < cast(:window_end as timestamptz)
  and ledger.state in ('open', 'sealed')
  and ledger.source_rows is not null
order by ledger.period_start
