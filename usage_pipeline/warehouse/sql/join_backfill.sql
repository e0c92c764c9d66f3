-- One more run of a backfill that its process holds. Binds: backfill_id, run_id.
update usage.backfills backfill
set run_ids = backfill.run_ids || cast(:run_id as text)
where backfill.id = cast(:backfill_id as integer)
returning backfill.run_ids
