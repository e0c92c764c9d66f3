-- Records a range as it starts. Binds: assets, first_date, last_date, code_version, run_id, lock_key, period_count.
insert into usage.backfills (
  assets, first_date, last_date, code_version, root_run_id, run_ids, lock_key, period_count, started_at)
values (
  cast(:assets as text[]), cast(:first_date as date), cast(:last_date as date), :code_version,
  :run_id, array[cast(:run_id as text)], cast(:lock_key as bigint), cast(:period_count as bigint), usage_private.now())
returning id, run_ids
