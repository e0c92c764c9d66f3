-- One row per role of ours: whether it is there, whether this login may become it, and the statement that lets it.
-- Beside it, on each row, what the login may do by itself. Binds: roles.
select
  wanted.name as role,
  role.oid is not null as role_exists,
  coalesce(pg_catalog.pg_has_role(login.oid, role.oid, version.privilege), false) as may_become,
  pg_catalog.format('grant %I to %I', wanted.name, login.rolname) || version.option as remedy,
  login.rolname::text as login,
  case when login.rolsuper then 'a superuser'
    when login.rolbypassrls then 'exempt from row-level security' end as powers,
  base.may_create and (login.rolsuper or login.rolcreaterole) as may_make,
  base.may_create or pg_catalog.to_regnamespace('usage') is not null as may_found
from pg_catalog.unnest(cast(:roles as text[])) with ordinality wanted (name, place)
join pg_catalog.pg_roles login on login.rolname = session_user
cross join lateral (
  select pg_catalog.has_database_privilege(login.oid, pg_catalog.current_database(), 'create')
) base (may_create)
cross join (
  select * -- up to 15 whoever is a member may become it
  from (values (true, 'set', ' with set true'), (false, 'member', '')) known (is_newer, privilege, option)
  where known.is_newer = (pg_catalog.current_setting('server_version_num')::integer >= 160000)
) version
left join pg_catalog.pg_roles role on role.rolname = wanted.name
order by wanted.place
