-- How a backfill ended. Binds: backfill_id, state.
update usage.backfills
set state = :state, ended_at = usage_private.now()
where id = cast(:backfill_id as integer)
