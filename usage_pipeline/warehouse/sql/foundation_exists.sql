-- True when the schemas exist and this login may become each of our roles.
select pg_catalog.to_regnamespace('usage_parts') is not null
  and 4 = (
    select pg_catalog.count(*)
    from pg_catalog.pg_roles role
    cross join (
      select * -- up to 15 whoever is a member may become it
      from (values (true, 'set'), (false, 'member')) known (is_newer, privilege)
      where known.is_newer = (pg_catalog.current_setting('server_version_num')::integer >= 160000)
    ) version
    where role.rolname in ('usage_owner', 'usage_writer', 'usage_retention', 'usage_reader')
      and pg_catalog.pg_has_role(session_user, role.oid, version.privilege)
  )
