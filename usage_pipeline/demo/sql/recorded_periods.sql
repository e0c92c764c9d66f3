-- What the ledger says of every period of one rollup. Binds: rollup, window_start, window_end.
select
  ledger.period_start, ledger.source_rows,
  (ledger.states ->> 'unattributed')::bigint as unattributed_rows,
  (ledger.states ->> 'total_only')::bigint as total_only_rows,
  (ledger.states ->> 'unmetered')::bigint as unmetered_rows,
  (ledger.states ->> 'refused')::bigint as refused_rows
from usage.rollup_ledger ledger
where ledger.rollup = cast(:rollup as text)
  and ledger.period_start >= cast(:window_start as timestamptz)
  and ledger.period_start < cast(:window_end as timestamptz)
