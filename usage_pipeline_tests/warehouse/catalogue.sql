-- Everything of ours that stands in a database, one row a thing, so that two databases can be compared:
-- roles and memberships, schemas, relations, columns, constraints, indexes, policies, functions, triggers,
-- each with its owner, its rights and its comment, and what we added to the application's tables. Of a column not its
-- place: one that a way down brings back stands last.
with ours as (
  select namespace.oid, namespace.nspname
  from pg_namespace namespace
  where namespace.nspname in ('usage', 'usage_private', 'usage_parts')
),
relations as (
  select relation.*
  from pg_class relation
  where relation.relnamespace in (select ours.oid from ours)
    or relation.relnamespace = 'public'::regnamespace and relation.relkind in ('r', 'p', 'v', 'm')
),
rights as (
  select things.kind, things.name, string_agg(
    held.grantee::regrole || ' ' || held.privilege_type || ' ' || held.is_grantable || ' by ' || held.grantor::regrole,
    ', ' order by held.grantee::regrole::text, held.privilege_type, held.grantor::regrole::text) as list
  from (
    select 'schema' as kind, namespace.nspname::text as name,
      coalesce(namespace.nspacl, acldefault('n', namespace.nspowner)) as acl
    from pg_namespace namespace where namespace.nspname = 'public' or namespace.oid in (select ours.oid from ours)
    union all
    select 'relation', relations.oid::regclass::text,
      coalesce(relations.relacl, acldefault('r', relations.relowner)) from relations
    union all
    select 'column', attribute.attrelid::regclass || '.' || attribute.attname, attribute.attacl
    from pg_attribute attribute where attribute.attrelid in (select relations.oid from relations)
      and attribute.attacl is not null
    union all
    select 'function', function.oid::regprocedure::text,
      coalesce(function.proacl, acldefault('f', function.proowner))
    from pg_proc function where function.pronamespace in (select ours.oid from ours)
  ) things
  cross join lateral aclexplode(things.acl) held
  group by things.kind, things.name
)
select 'role' as kind, role.rolname::text as name,
  concat_ws(' ', role.rolsuper, role.rolinherit, role.rolcreaterole, role.rolcreatedb, role.rolcanlogin,
    role.rolbypassrls, role.rolconfig) as definition
from pg_roles role where role.rolname like 'usage%'
union all
select 'member', held.member::regrole || ' of ' || held.roleid::regrole,
  string_agg((to_jsonb(held) - 'oid' - 'roleid' - 'member' - 'grantor')::text || held.grantor::regrole, ', '
    order by held.grantor::regrole::text)
from pg_auth_members held where held.roleid::regrole::text like 'usage%'
group by held.member, held.roleid
union all
select 'schema', ours.nspname, namespace.nspowner::regrole || ' ' || coalesce(obj_description(ours.oid, 'pg_namespace'), '')
from ours join pg_namespace namespace on namespace.oid = ours.oid
union all
select 'rights on ' || rights.kind, rights.name, rights.list from rights
union all
select 'relation', relations.oid::regclass::text,
  concat_ws(' ', relations.relkind, relations.relowner::regrole, relations.relrowsecurity,
    relations.relforcerowsecurity, relations.relispartition, relations.reloptions,
    pg_get_expr(relations.relpartbound, relations.oid), pg_get_partkeydef(relations.oid),
    obj_description(relations.oid, 'pg_class'))
from relations
union all
select 'column', attribute.attrelid::regclass || '.' || attribute.attname,
  concat_ws(' ', format_type(attribute.atttypid, attribute.atttypmod), attribute.attnotnull,
    attribute.attgenerated, attribute.attidentity, pg_get_expr(preset.adbin, preset.adrelid),
    col_description(attribute.attrelid, attribute.attnum))
from pg_attribute attribute
left join pg_attrdef preset on preset.adrelid = attribute.attrelid and preset.adnum = attribute.attnum
where attribute.attrelid in (select relations.oid from relations where relations.relkind <> 'i')
  and attribute.attnum > 0 and not attribute.attisdropped
union all
select 'constraint', con.conrelid::regclass || '.' || con.conname, pg_get_constraintdef(con.oid)
from pg_constraint con where con.conrelid in (select relations.oid from relations)
union all
select 'index', index.indexrelid::regclass::text, index.indisvalid || ' ' || pg_get_indexdef(index.indexrelid)
from pg_index index where index.indrelid in (select relations.oid from relations)
union all
select 'policy', policy.polrelid::regclass || '.' || policy.polname,
  concat_ws(' ', policy.polcmd, policy.polpermissive, policy.polroles::regrole[],
    pg_get_expr(policy.polqual, policy.polrelid), pg_get_expr(policy.polwithcheck, policy.polrelid))
from pg_policy policy where policy.polrelid in (select relations.oid from relations)
union all
select 'trigger', trigger.tgrelid::regclass || '.' || trigger.tgname, pg_get_triggerdef(trigger.oid)
from pg_trigger trigger where trigger.tgrelid in (select relations.oid from relations) and not trigger.tgisinternal
union all
select 'function', function.oid::regprocedure::text,
  concat_ws(' ', function.proowner::regrole, pg_get_functiondef(function.oid), obj_description(function.oid, 'pg_proc'))
from pg_proc function where function.pronamespace in (select ours.oid from ours)
order by 1, 2
