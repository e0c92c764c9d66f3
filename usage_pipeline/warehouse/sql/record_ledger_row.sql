-- What a run found and left, on the row it holds. Binds: the columns.
update usage.rollup_ledger
set
  state = 'open',
  covered_until = cast(:covered_until as timestamptz),
  source_rows = :source_rows,
  unattributed_rows = :unattributed_rows,
  total_only_rows = :total_only_rows,
  unmetered_rows = :unmetered_rows,
  refused_rows = :refused_rows,
  stored_rows = :stored_rows,
  hourly_rows = cast(:hourly_rows as bigint[]),
  totals = cast(:totals as jsonb),
  checksum = :checksum,
  run_id = :run_id,
  code_version = :code_version,
  duration_ms = :duration_ms,
  computed_at = usage_private.now()
where rollup = :rollup and period_start = cast(:period_start as timestamptz)
