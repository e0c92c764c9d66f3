-- The backfills, newest first: what was asked for, how far it came by the ledger, and whether it still
-- runs: one that nobody holds was interrupted, and is superseded by a newer one of the same range.
-- Binds: assets, first_date, last_date, code_version (exactly these; NULL: all), only_running, most.
select
  backfill.id, backfill.assets, backfill.first_date, backfill.last_date, backfill.code_version, backfill.run_ids,
  backfill.period_count,
  backfill.started_at, backfill.ended_at,
  case
    when backfill.state <> 'running' or holder.pid is not null then backfill.state
    when exists (
      select
      from usage.backfills newer
      where newer.id > backfill.id and newer.assets = backfill.assets and newer.code_version = backfill.code_version
        and newer.first_date = backfill.first_date and newer.last_date = backfill.last_date
    ) then 'superseded'
    else 'interrupted'
  end as state,
  case when backfill.state = 'done' then backfill.period_count else (
    select pg_catalog.count(*)
    from usage.rollup_ledger ledger
    where ledger.rollup = any (backfill.assets)
      and ledger.run_id = any (backfill.run_ids)
      and ledger.period_end > backfill.first_date::timestamp at time zone 'UTC'
      and ledger.period_start < (backfill.last_date + 1)::timestamp at time zone 'UTC'
  ) end as finished_count
from usage.backfills backfill
left join lateral (
  select pg_catalog.min(held.pid) as pid
  from pg_catalog.pg_locks held
  where held.locktype = 'advisory' and held.objsubid = 1 and held.granted
    and held.database = (select base.oid from pg_catalog.pg_database base where base.datname = pg_catalog.current_database())
    and (held.classid::bigint << 32) | held.objid::bigint = backfill.lock_key
) holder on true
where (backfill.state = 'running' or not cast(:only_running as boolean)) and (cast(:assets as text[]) is null or (
  backfill.assets = cast(:assets as text[])
  and backfill.first_date = cast(:first_date as date)
  and backfill.last_date = cast(:last_date as date)
  and backfill.code_version = cast(:code_version as text)
))
order by backfill.id desc
limit cast(:most as bigint)
