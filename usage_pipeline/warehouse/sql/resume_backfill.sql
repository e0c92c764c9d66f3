-- Takes up a range that nobody works on, for one more run. Binds: backfill_id, run_id, lock_key.
update usage.backfills backfill
set run_ids = case
    when :run_id = any (backfill.run_ids) then backfill.run_ids
    else backfill.run_ids || cast(:run_id as text) end,
  lock_key = cast(:lock_key as bigint),
  state = 'running',
  ended_at = null
where backfill.id = cast(:backfill_id as bigint)
returning backfill.id, backfill.run_ids
