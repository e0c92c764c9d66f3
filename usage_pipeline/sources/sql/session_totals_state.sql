-- What stands in the way of writing one column, as the catalogue says it; one row.
-- Binds: table_name, column_name, role. `update_triggers` are those that an update of the column fires, on the table or
-- a partition of it; those of foreign keys are PostgreSQL's own and write nothing here.
with recursive target as (
  select relation.oid, relation.relkind, relation.relrowsecurity
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  where namespace.nspname || '.' || relation.relname = cast(:table_name as text)
    and relation.relkind in ('r', 'p', 'v', 'm', 'f')
),
family as (
  select target.oid
  from target
  union
  select child.inhrelid
  from family
  join pg_catalog.pg_inherits child on child.inhparent = family.oid
)
select
  cast(:table_name as text) as table_name,
  cast(:column_name as text) as column_name,
  cast(:role as text) as role,
  target.oid is not null as table_exists,
  coalesce(target.relkind in ('r', 'p'), false) as is_table,
  pg_catalog.format_type(attribute.atttypid, attribute.atttypmod) as column_type,
  case attribute.atttypid
    when 'pg_catalog.int2'::pg_catalog.regtype then 32767::numeric
    when 'pg_catalog.int4'::pg_catalog.regtype then 2147483647
    when 'pg_catalog.int8'::pg_catalog.regtype then 9223372036854775807
    when 'pg_catalog.numeric'::pg_catalog.regtype then case
      when attribute.atttypmod < 0 then 'infinity'
      when digits.scale between 0 and digits.precision - 1
        then pg_catalog.power(10::numeric, digits.precision - digits.scale) - 1
    end
  end as largest,
  coalesce(attribute.attgenerated <> '', false) as is_generated,
  exists (
    select
    from pg_catalog.aclexplode(attribute.attacl) held
    where held.grantee = role.oid and held.privilege_type = 'UPDATE'
  ) as is_enabled,
  coalesce(target.relrowsecurity, false) as has_row_security,
  exists (
    select
    from pg_catalog.pg_policy policy
    where policy.polrelid = target.oid
      and policy.polname = role.rolname || '_updates'
      and policy.polpermissive
      and policy.polcmd = 'w'
      and policy.polroles = array[role.oid]
      and pg_catalog.pg_get_expr(policy.polqual, policy.polrelid) = 'true'
      and coalesce(pg_catalog.pg_get_expr(policy.polwithcheck, policy.polrelid), 'true') = 'true'
  ) as has_policy,
  (
    select pg_catalog.min(policy.polname::text)
    from pg_catalog.pg_policy policy
    cross join pg_catalog.unnest(policy.polroles) applies (role_oid)
    where policy.polrelid = target.oid
      and not policy.polpermissive
      and policy.polcmd in ('r', 'w', '*')
      and (applies.role_oid = 0 or pg_catalog.pg_has_role(role.oid, applies.role_oid, 'usage'))
  ) as restrictive_policy,
  (
    select pg_catalog.string_agg(distinct trigger.tgname::text, ', ')
    from family
    join pg_catalog.pg_trigger trigger on trigger.tgrelid = family.oid
    where not trigger.tgisinternal
      and trigger.tgtype & 16 = 16
      and trigger.tgenabled in (
        'A', case pg_catalog.current_setting('session_replication_role') when 'replica' then 'R' else 'O' end)
      and trigger.tgfoid <> 'pg_catalog.suppress_redundant_updates_trigger()'::pg_catalog.regprocedure
      and (pg_catalog.cardinality(trigger.tgattr::int2[]) = 0 or exists (
        select
        from pg_catalog.pg_attribute watched
        where watched.attrelid = family.oid
          and watched.attnum = any (trigger.tgattr::int2[])
          and (watched.attname = cast(:column_name as text) or watched.attgenerated <> '')
      ))
  ) as update_triggers,
  (
    select pg_catalog.string_agg(rule.rulename::text, ', ')
    from pg_catalog.pg_rewrite rule
    where rule.ev_class = target.oid and rule.ev_type = '2' and rule.ev_enabled <> 'D'
  ) as update_rules
from (values (1)) always (one)
left join target on true
left join pg_catalog.pg_attribute attribute
  on attribute.attrelid = target.oid and attribute.attname = cast(:column_name as text)
  and attribute.attnum > 0 and not attribute.attisdropped
left join pg_catalog.pg_roles role on role.rolname = cast(:role as text)
cross join lateral (
  select
    ((attribute.atttypmod - 4) >> 16) & 65535 as precision,
    (((attribute.atttypmod - 4) & 2047) # 1024) - 1024 as scale
) digits
