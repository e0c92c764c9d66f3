-- The statements that let a role write one column of a table, those still missing only; `is_permitted` says whether this
-- login may run one. Binds: table_name, column_name, role.
with target as (
  select
    relation.oid, namespace.nspname, relation.relname, relation.relrowsecurity, attribute.attname, attribute.attacl,
    role.oid as role_oid, cast(:role as text) as role_name, cast(:role as text) || '_updates' as policy_name,
    pg_catalog.pg_has_role(session_user, relation.relowner, 'usage') as is_owner
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  join pg_catalog.pg_attribute attribute
    on attribute.attrelid = relation.oid and attribute.attname = cast(:column_name as text)
  join pg_catalog.pg_roles role on role.rolname = cast(:role as text)
  where namespace.nspname || '.' || relation.relname = cast(:table_name as text) and relation.relkind in ('r', 'p')
),
updating as (
  select
    policy.polname,
    policy.polpermissive and policy.polcmd = 'w' and policy.polroles = array[target.role_oid]
      and pg_catalog.pg_get_expr(policy.polqual, policy.polrelid) = 'true'
      and coalesce(pg_catalog.pg_get_expr(policy.polwithcheck, policy.polrelid), 'true') = 'true' as is_ours
  from target
  join pg_catalog.pg_policy policy on policy.polrelid = target.oid and policy.polname = target.policy_name
)
select
  pg_catalog.format(
    'grant update (%I) on %I.%I to %I', target.attname, target.nspname, target.relname, target.role_name
  ) as statement,
  pg_catalog.has_column_privilege(session_user, target.oid, target.attname, 'update with grant option')
    as is_permitted,
  1 as place
from target
where not exists (
  select
  from pg_catalog.aclexplode(target.attacl) held
  where held.grantee = target.role_oid and held.privilege_type = 'UPDATE'
)
union all
select
  pg_catalog.format('drop policy %I on %I.%I', target.policy_name, target.nspname, target.relname),
  target.is_owner, 2
from target
where target.relrowsecurity and exists (select from updating where not updating.is_ours)
union all
select
  pg_catalog.format(
    'create policy %I on %I.%I for update to %I using (true) with check (true)',
    target.policy_name, target.nspname, target.relname, target.role_name),
  target.is_owner, 3
from target
where target.relrowsecurity and not exists (select from updating where updating.is_ours)
order by place
