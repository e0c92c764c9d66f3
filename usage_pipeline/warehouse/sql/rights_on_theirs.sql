-- What our roles hold on the application's tables, one line a thing.
with ours as (
  select role.oid, role.rolname
  from pg_catalog.pg_roles role
  where role.rolname in ('usage_owner', 'usage_writer', 'usage_retention', 'usage_reader')
),
theirs as (
  select relation.oid, relation.relacl
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  where relation.relkind in ('r', 'p', 'v', 'm', 'f')
    and namespace.nspname not in ('usage', 'usage_private', 'usage_parts', 'pg_catalog', 'information_schema')
)
select pg_catalog.format('%s on %s to %s', pg_catalog.lower(held.privilege_type), theirs.oid::regclass, ours.rolname) as held
from theirs
cross join lateral pg_catalog.aclexplode(theirs.relacl) held
join ours on ours.oid = held.grantee
union all
select pg_catalog.format('%s (%s) on %s to %s', pg_catalog.lower(held.privilege_type), attribute.attname,
  theirs.oid::regclass, ours.rolname)
from theirs
join pg_catalog.pg_attribute attribute on attribute.attrelid = theirs.oid and attribute.attacl is not null
cross join lateral pg_catalog.aclexplode(attribute.attacl) held
join ours on ours.oid = held.grantee
union all
select pg_catalog.format('policy %s on %s', policy.polname, theirs.oid::regclass)
from theirs
join pg_catalog.pg_policy policy on policy.polrelid = theirs.oid
where exists (select from ours where ours.oid = any (policy.polroles))
order by held
