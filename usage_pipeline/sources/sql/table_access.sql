-- One row per table and role: what the role may read of the table. Binds: tables, roles.
select
  wanted.name as table_name,
  role.rolname::text as role,
  relation.oid is not null as table_exists,
  coalesce(pg_catalog.has_schema_privilege(role.oid, relation.relnamespace, 'usage'), false) as may_use_schema,
  coalesce(pg_catalog.has_table_privilege(role.oid, relation.oid, 'select'), false) as may_select,
  coalesce(relation.relrowsecurity, false) as has_row_security,
  exists (
    select
    from pg_catalog.pg_policy policy
    where policy.polrelid = relation.oid
      and policy.polname = role.rolname || '_reads'
      and policy.polpermissive
      and policy.polcmd = 'r'
      and policy.polroles = array[role.oid]
      and pg_catalog.pg_get_expr(policy.polqual, policy.polrelid) = 'true'
  ) as has_policy,
  (
    select pg_catalog.min(policy.polname::text)
    from pg_catalog.pg_policy policy
    cross join pg_catalog.unnest(policy.polroles) applies (role_oid)
    where policy.polrelid = relation.oid
      and not policy.polpermissive
      and policy.polcmd in ('r', '*')
      and (applies.role_oid = 0 or pg_catalog.pg_has_role(role.oid, applies.role_oid, 'usage'))
  ) as restrictive_policy,
  (
    with recursive behind as (
      select relation.oid
      union
      select used.refobjid
      from behind
      join pg_catalog.pg_rewrite rule on rule.ev_class = behind.oid
      join pg_catalog.pg_depend used
        on used.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and used.objid = rule.oid
        and used.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    )
    select pg_catalog.min(base.relname::text)
    from behind
    join pg_catalog.pg_class base on base.oid = behind.oid
    where base.relrowsecurity and base.oid <> relation.oid
  ) as hidden_base
from pg_catalog.unnest(cast(:tables as text[])) with ordinality wanted (name, place)
cross join pg_catalog.pg_roles role
left join (
  pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
) on namespace.nspname || '.' || relation.relname = wanted.name and relation.relkind in ('r', 'p', 'v', 'm', 'f')
where role.rolname = any (cast(:roles as text[]))
order by wanted.place, role.rolname
