-- What else of this server our roles serve. `databases`: others that hold objects or rights of theirs; `logins`: those
-- that may become one of them and may connect to this database, but for this login and superusers. Binds: roles.
with ours as (
  select role.oid
  from pg_catalog.pg_roles role
  where role.rolname = any (cast(:roles as text[]))
)
select
  array(
    select distinct base.datname::text
    from pg_catalog.pg_shdepend held
    join pg_catalog.pg_database base on base.oid = held.dbid
    where held.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and held.refobjid in (select ours.oid from ours)
      and base.datname <> pg_catalog.current_database()
    order by 1
  ) as databases,
  array(
    select login.rolname::text
    from pg_catalog.pg_roles login
    where login.rolcanlogin and not login.rolsuper and login.rolname <> session_user
      and exists (select from ours where pg_catalog.pg_has_role(login.oid, ours.oid, 'member'))
      and pg_catalog.has_database_privilege(login.oid, pg_catalog.current_database(), 'connect')
    order by 1
  ) as logins,
  pg_catalog.format(E'revoke connect on database %1$I from public\ngrant connect on database %1$I to %2$I',
    pg_catalog.current_database(), session_user) as remedy
