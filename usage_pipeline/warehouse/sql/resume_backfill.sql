-- Takes up the newest range of these that did not come to its end, for a run that goes on after another; no row
-- if there is none. Binds: backfill_id (NULL: unknown), root_run_id, assets, first_date, last_date, code_version, run_id.
update usage.backfills backfill
set run_ids = case
    when :run_id = any (backfill.run_ids) then backfill.run_ids
    else backfill.run_ids || cast(:run_id as text) end,
  state = 'running',
  ended_at = null
where backfill.id = (
  select pg_catalog.max(known.id)
  from usage.backfills known
  where (known.id = cast(:backfill_id as integer) or cast(:root_run_id as text) = any (known.run_ids))
    and known.assets = cast(:assets as text[])
    and known.first_date = cast(:first_date as date)
    and known.last_date = cast(:last_date as date)
    and known.code_version = :code_version
    and known.state <> 'done'
)
returning backfill.id, backfill.run_ids
