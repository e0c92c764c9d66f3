-- True when the schemas stand and this login may act as each of our roles.
select pg_catalog.to_regnamespace('usage_parts') is not null
  and 4 = (
    select pg_catalog.count(*)
    from pg_catalog.pg_roles role
    where role.rolname in ('usage_owner', 'usage_writer', 'usage_retention', 'usage_reader')
      and pg_catalog.pg_has_role(session_user, role.oid, 'member')
  )
