-- The newest range of these that a run goes on with: not done, and begun by the run it follows or named by its id. It
-- stays locked until the transaction ends; no row if there is none.
-- Binds: backfill_id (NULL: unknown), root_run_id, assets, first_date, last_date, code_version.
select known.id, known.lock_key
from usage.backfills known
where (known.id = cast(:backfill_id as bigint) or cast(:root_run_id as text) = any (known.run_ids))
  and known.assets = cast(:assets as text[])
  and known.first_date = cast(:first_date as date)
  and known.last_date = cast(:last_date as date)
  and known.code_version = :code_version
  and known.state <> 'done'
order by known.id desc
limit 1
for update
