-- source_access: what our roles may read of a source, by the catalogue alone, and the refusal of a source that hides
-- rows. Every run of raw rows asks for it, in the database and before it: a hidden row makes no noise.

create or replace function usage_private.table_access(tables text[], roles text[])
returns table (
  table_name text, role text, has_row_security boolean, obstacle text, remedy text
)
language sql stable parallel safe
as $$
  -- One row per table and role; obstacle: why the role would read less than everything, NULL if it reads all rows.
  select
    held.table_name, held.role, held.has_row_security,
    case
      when not held.table_exists then 'the table does not exist'
      when not held.may_use_schema then held.role || ' has no usage on its schema'
      when not held.may_select then held.role || ' has no select on it'
      when held.hidden_base is not null
        then 'it is a view over ' || held.hidden_base || ', whose row-level security may hide rows'
      when held.is_filtered and held.restrictive_policy is not null
        then 'the restrictive policy `' || held.restrictive_policy || '` hides rows from ' || held.role
      when held.is_filtered and not held.has_policy
        then 'row-level security is on and the policy `' || held.role || '_reads` is missing or altered'
    end,
    case
      when not held.table_exists then 'create it, or choose another adapter with USAGE_TOKEN_SOURCE'
      when held.hidden_base is not null
        then 'let ' || held.table_name || ' be the table itself, or switch that security off'
      when held.restrictive_policy is not null then 'exempt our roles from that policy'
      else 'usage-pipeline migrate apply'
    end
  from (
    select
      wanted.name as table_name,
      wanted.place,
      role.rolname::text as role,
      relation.oid is not null as table_exists,
      coalesce(pg_catalog.has_schema_privilege(role.oid, relation.relnamespace, 'usage'), false) as may_use_schema,
      coalesce(pg_catalog.has_table_privilege(role.oid, relation.oid, 'select'), false) as may_select,
      coalesce(relation.relrowsecurity, false) as has_row_security,
      coalesce(relation.relrowsecurity and not (role.rolsuper or role.rolbypassrls), false) as is_filtered,
      exists (
        select
        from pg_catalog.pg_policy policy
        join pg_catalog.pg_roles holder on policy.polroles = array[holder.oid]
        where policy.polrelid = relation.oid
          and policy.polname = holder.rolname || '_reads'
          and policy.polpermissive
          and policy.polcmd = 'r'
          and pg_catalog.pg_has_role(role.oid, holder.oid, 'usage')
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
      case when relation.relkind in ('v', 'm') then (
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
      ) end as hidden_base
    from pg_catalog.unnest(table_access.tables) with ordinality wanted (name, place)
    cross join pg_catalog.pg_roles role
    left join (
      pg_catalog.pg_class relation
      join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
    ) on namespace.nspname = pg_catalog.split_part(wanted.name, '.', 1)
      and relation.relname = pg_catalog.split_part(wanted.name, '.', 2)
      and relation.relkind in ('r', 'p', 'v', 'm', 'f')
    where role.rolname = any (table_access.roles)
    offset 0
  ) held
  order by held.place, held.role
$$;

create or replace function usage_private.require_readable() returns void
language plpgsql stable
set plan_cache_mode = force_generic_plan -- asked on every run: planned anew each time it would cost as much as a quiet day
as $$
-- Refuses, by name, to read tokens where a row could be hidden from the caller: it would look like an empty day.
declare
  tables constant text[] := array(select named.name from usage_private.token_tables() named);
  roles constant text[] := array[current_user::text];
  hidden record;
begin
  select access.* into hidden
  from usage_private.table_access(tables, roles) access
  where access.obstacle is not null
  limit 1;
  if hidden.obstacle = 'the table does not exist' then
    raise undefined_table using
      message = pg_catalog.format('the source table %s does not exist', hidden.table_name), hint = hidden.remedy;
  end if;
  if found then
    raise exception 'the source table % cannot be read whole', hidden.table_name
      using errcode = 'UP001', detail = hidden.obstacle, hint = hidden.remedy;
  end if;
end
$$;
