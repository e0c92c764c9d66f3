-- The statements that let our roles read these tables whole, those still missing only; `is_permitted` says
-- whether this login may run one. Binds: tables, roles.
with source as (
  select relation.oid, relation.relrowsecurity, relation.relowner, namespace.nspname, relation.relname, wanted.place,
    namespace.oid as schema_oid
  from pg_catalog.unnest(cast(:tables as text[])) with ordinality wanted (name, place)
  join pg_catalog.pg_class relation on relation.relkind in ('r', 'p', 'v', 'm', 'f')
  join pg_catalog.pg_namespace namespace
    on namespace.oid = relation.relnamespace and namespace.nspname || '.' || relation.relname = wanted.name
),
reader as (
  select role.oid, wanted.rolname
  from pg_catalog.unnest(cast(:roles as text[])) wanted (rolname)
  left join pg_catalog.pg_roles role on role.rolname = wanted.rolname
),
missing as (
  select
    0 as place, wanted.rolname, 0 as step,
    pg_catalog.format('grant usage on schema %I to %I', schema.nspname, wanted.rolname) as statement,
    pg_catalog.has_schema_privilege(session_user, schema.schema_oid, 'usage with grant option') as is_permitted
  from (select distinct source.nspname, source.schema_oid from source) schema
  cross join pg_catalog.unnest(cast(:roles as text[]) || 'usage_owner'::text) wanted (rolname)
  left join pg_catalog.pg_roles role on role.rolname = wanted.rolname
  where not coalesce(pg_catalog.has_schema_privilege(
    coalesce(role.oid, 0), schema.schema_oid, 'usage'), false)
  union all
  select
    source.place, reader.rolname, 1,
    pg_catalog.format('grant select on %I.%I to %I', source.nspname, source.relname, reader.rolname),
    pg_catalog.has_table_privilege(session_user, source.oid, 'select with grant option')
  from source
  cross join reader
  where not coalesce(pg_catalog.has_table_privilege(reader.oid, source.oid, 'select'), false)
  union all
  select
    source.place, reader.rolname, 2,
    pg_catalog.format('drop policy %I on %I.%I', reader.rolname || '_reads', source.nspname, source.relname),
    pg_catalog.pg_has_role(session_user, source.relowner, 'usage')
  from source
  cross join reader
  join pg_catalog.pg_policy policy
    on policy.polrelid = source.oid and policy.polname = reader.rolname || '_reads'
  where source.relrowsecurity and not (
    policy.polpermissive and policy.polcmd = 'r' and policy.polroles = array[reader.oid]
    and pg_catalog.pg_get_expr(policy.polqual, policy.polrelid) = 'true'
  )
  union all
  select
    source.place, reader.rolname, 3,
    pg_catalog.format(
      'create policy %I on %I.%I for select to %I using (true)',
      reader.rolname || '_reads', source.nspname, source.relname, reader.rolname),
    pg_catalog.pg_has_role(session_user, source.relowner, 'usage')
  from source
  cross join reader
  where source.relrowsecurity and not exists (
    select
    from pg_catalog.pg_policy policy
    where policy.polrelid = source.oid and policy.polname = reader.rolname || '_reads'
      and policy.polpermissive and policy.polcmd = 'r' and policy.polroles = array[reader.oid]
      and pg_catalog.pg_get_expr(policy.polqual, policy.polrelid) = 'true'
  )
)
select missing.statement, missing.is_permitted
from missing
order by missing.place, missing.step, missing.rolname
