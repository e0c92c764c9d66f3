-- The statements that take the right to write one column back; none where nothing stands. `is_permitted` says whether
-- this login may run one. Binds: table_name, column_name, role.
with target as (
  select
    relation.oid, namespace.nspname, relation.relname, attribute.attname, attribute.attacl, role.oid as role_oid,
    cast(:role as text) as role_name, cast(:role as text) || '_updates' as policy_name,
    pg_catalog.pg_has_role(session_user, relation.relowner, 'usage') as is_owner
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  left join pg_catalog.pg_attribute attribute
    on attribute.attrelid = relation.oid and attribute.attname = cast(:column_name as text)
  join pg_catalog.pg_roles role on role.rolname = cast(:role as text)
  where namespace.nspname || '.' || relation.relname = cast(:table_name as text) and relation.relkind in ('r', 'p')
)
select
  pg_catalog.format(
    'revoke update (%I) on %I.%I from %I', target.attname, target.nspname, target.relname, target.role_name
  ) as statement,
  target.is_owner or pg_catalog.has_column_privilege(
    session_user, target.oid, target.attname, 'update with grant option') as is_permitted,
  1 as place
from target
where exists (
  select
  from pg_catalog.aclexplode(target.attacl) held
  where held.grantee = target.role_oid and held.privilege_type = 'UPDATE'
)
union all
select
  pg_catalog.format('drop policy %I on %I.%I', target.policy_name, target.nspname, target.relname),
  target.is_owner, 2
from target
join pg_catalog.pg_policy policy on policy.polrelid = target.oid and policy.polname = target.policy_name
order by place
