-- One row per computed day of tokens: how far it was read. Binds: window_start, window_end.
select ledger.period_start, ledger.covered_until
from usage.rollup_ledger ledger
where ledger.rollup = 'tokens_daily'
  and ledger.state <> 'partial'
  and ledger.covered_until is not null
  and ledger.period_start >= cast(:window_start as timestamptz)
  and ledger.period_start < cast(:window_end as timestamptz)
order by ledger.period_start
