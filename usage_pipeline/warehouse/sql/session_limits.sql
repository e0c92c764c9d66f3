-- One row per limit on sessions, the narrowest first: how many it leaves to us, those we hold already included, how
-- many the stack needs of it, and the statement that widens it.
-- Binds: own (sessions a backfill and a verb need), dagster (those of Dagster's processes, 0 if its storage stands on
-- another server), dagster_database, dagster_login (NULL there).
with login as (
  select
    role.oid, role.rolname, role.rolsuper, role.rolconnlimit, base.oid as database_oid, base.datname, base.datconnlimit,
    cast(:own as integer) as own, cast(:dagster as integer) as dagster,
    case when role.rolname = cast(:dagster_login as text) then cast(:dagster as integer) else 0 end as dagster_by_login
  from pg_catalog.pg_roles role
  join pg_catalog.pg_database base on base.datname = pg_catalog.current_database()
  where role.rolname = session_user
),
session as (
  select
    activity.usesysid = login.oid as is_by_login,
    activity.datid = login.database_oid as is_here,
    activity.usesysid = login.oid and activity.application_name = 'usage_pipeline' as is_ours,
    coalesce(activity.datname = cast(:dagster_database as text), false) as is_dagsters
  from pg_catalog.pg_stat_activity activity
  cross join login
  where activity.usesysid is not null and activity.datid is not null
    and coalesce(activity.backend_type, 'client backend') = 'client backend' -- NULL: another's, which we may not see
),
used as (
  select
    pg_catalog.count(*) as by_all,
    pg_catalog.count(*) filter (where session.is_ours or session.is_dagsters) as by_us,
    pg_catalog.count(*) filter (where session.is_by_login) as by_login,
    pg_catalog.count(*) filter (where session.is_by_login and (session.is_ours or session.is_dagsters)) as by_us_as_login,
    pg_catalog.count(*) filter (where session.is_here) as here,
    pg_catalog.count(*) filter (where session.is_here and session.is_ours) as by_us_here
  from session
),
ours as (
  select
    1 as place, 'the server' as whose, setting.size - setting.reserved as size, used.by_all as used,
    used.by_us as held, login.own + login.dagster as needed,
    'alter system set max_connections = %2$s; -- and restart the server' as remedy, null as name, setting.reserved
  from login
  cross join used
  cross join (
    select
      pg_catalog.current_setting('max_connections')::integer as size,
      case when login.rolsuper then 0 else
        pg_catalog.current_setting('superuser_reserved_connections')::integer
        + coalesce(pg_catalog.current_setting('reserved_connections', true)::integer, 0) -- unknown up to 15
      end as reserved
    from login
  ) setting
  union all
  select
    2, 'the login', login.rolconnlimit, used.by_login, used.by_us_as_login, login.own + login.dagster_by_login,
    'alter role %1$I connection limit %2$s;', login.rolname, 0
  from login
  cross join used
  where login.rolconnlimit >= 0 and not login.rolsuper
  union all
  select
    3, 'the database', login.datconnlimit, used.here, used.by_us_here, login.own,
    'alter database %1$I connection limit %2$s;', login.datname, 0
  from login
  cross join used
  where login.datconnlimit >= 0 and not login.rolsuper
)
select
  ours.whose, ours.size, ours.used, ours.needed, free.left_to_us,
  pg_catalog.format(ours.remedy, ours.name, ours.size + ours.reserved + ours.needed - free.left_to_us) as remedy
from ours
cross join lateral (select greatest(ours.size - ours.used, 0) + ours.held as left_to_us) free
order by free.left_to_us - ours.needed, ours.place
