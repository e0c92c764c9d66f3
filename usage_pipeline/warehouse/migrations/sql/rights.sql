-- rights: one row per statement that brings owners, rights and policies of ours to what this code needs, in the order
-- in which they run. It reads catalogues only; where all is as it must be, it returns no row and nothing is run.
-- `is_ownership`: it comes before everything else, and a login that may not run it cannot run the others either.
-- A new table, function or schema is a row below; it must exist at the newest revision. Public and our own roles hold
-- exactly this, on tables, on single columns and by policies; what somebody granted to roles of their own is theirs and
-- stays, and so does a policy that names only such roles. A table in usage_parts that is no partition of ours is theirs.
with recursive wanted_schema (name, users) as (
  values
    ('usage', array['usage_writer', 'usage_retention', 'usage_reader']),
    ('usage_private', array['usage_writer', 'usage_retention', 'usage_reader']),
    ('usage_parts', '{}'::text[])
),
wanted_table (name, is_secured, writer, readers) as (
  values
    ('usage.backfills', true, array['insert', 'select', 'update'], array['usage_reader', 'usage_retention']),
    ('usage.restatements', true, array['select'], array['usage_reader', 'usage_retention']),
    ('usage.rollup_ledger', true, array['delete', 'insert', 'select', 'update'], array['usage_reader', 'usage_retention']),
    ('usage.rollup_policy', true, array['insert', 'select', 'update'], array['usage_reader', 'usage_retention']),
    ('usage.source_horizon', true, array['insert', 'select', 'update'], array['usage_reader', 'usage_retention']),
    ('usage.user_token_usage', true, array['delete', 'insert', 'select', 'update'], array['usage_reader']),
    ('usage_private.schema_version', false, array['select'], array['usage_reader', 'usage_retention'])
),
wanted_columns (table_name, grantee, privilege, columns) as (
  values (
    'usage.restatements', 'usage_writer', 'insert', -- not the transaction: nobody records a change for another one
    array['rollup', 'period_start', 'key', 'before', 'after', 'reason', 'run_id', 'restated_at'])
),
more_policies (table_name, name, is_permissive, command, grantees, condition, new_rows) as (
  values (
    'usage.rollup_ledger', 'only_what_was_made_to_be_locked', false, 'd', array['usage_writer'],
    '(computed_at IS NULL)', null)
),
wanted_function (name, users) as (
  values
    ('usage_private.adopt_functions', '{}'::text[]),
    ('usage_private.drop_functions', '{}'),
    ('usage_private.ensure_partitions', array['usage_writer']),
    ('usage_private.guard_seal', '{}'),
    ('usage_private.guard_sealed_rows', '{}'),
    ('usage_private.guard_sealed_table', '{}'),
    ('usage_private.now', array['usage_writer', 'usage_retention', 'usage_reader']),
    ('usage_private.partition_name', array['usage_writer', 'usage_reader']),
    ('usage_private.without_shared_ids', array['usage_writer'])
),
schema as (
  select namespace.oid, namespace.nspowner as owner, wanted.name, wanted.users,
    pg_catalog.format('schema %I', namespace.nspname) as target,
    coalesce(namespace.nspacl, pg_catalog.acldefault('n', namespace.nspowner)) as acl
  from wanted_schema wanted
  join pg_catalog.pg_namespace namespace on namespace.nspname = wanted.name
),
part (oid) as ( -- by its names: to_regclass fails for a login that may not use the schema
  select parent.oid
  from pg_catalog.pg_class parent
  join pg_catalog.pg_namespace namespace on namespace.oid = parent.relnamespace
  where (namespace.nspname, parent.relname) = ('usage', 'user_token_usage')
  union all
  select below.inhrelid from pg_catalog.pg_inherits below join part on part.oid = below.inhparent
),
relation as (
  select relation.oid, relation.relowner as owner, wanted.name, relation.relrowsecurity, relation.relforcerowsecurity,
    coalesce(wanted.is_secured, true) as is_secured, wanted.writer, wanted.readers,
    pg_catalog.format('table %I.%I', schema.name, relation.relname) as target,
    coalesce(relation.relacl, pg_catalog.acldefault('r', relation.relowner)) as acl
  from pg_catalog.pg_class relation
  join schema on schema.oid = relation.relnamespace
  left join wanted_table wanted on wanted.name = schema.name || '.' || relation.relname
  where relation.relkind in ('r', 'p') and (
    wanted.name is not null or schema.name = 'usage_parts' and relation.oid in (select part.oid from part)
  )
),
function as ( -- those that follow their files have a mark: the writer runs them, and readers those that only read
  select function.oid, function.proowner as owner, described.users,
    'function ' || pg_catalog.format('%I.%I(%s)',
      schema.name, function.proname, pg_catalog.pg_get_function_identity_arguments(function.oid)) as target,
    coalesce(function.proacl, pg_catalog.acldefault('f', function.proowner)) as acl
  from pg_catalog.pg_proc function
  join schema on schema.oid = function.pronamespace
  left join wanted_function wanted on wanted.name = schema.name || '.' || function.proname
  cross join lateral (
    select case
      when wanted.name is not null then wanted.users
      when pg_catalog.obj_description(function.oid, 'pg_proc') like 'usage\_pipeline %' then
        case function.provolatile when 'v' then array['usage_writer'] else array['usage_writer', 'usage_reader'] end
    end as users
  ) described
  where described.users is not null
),
thing as (
  select 0 as place, schema.target, schema.owner, schema.acl from schema
  union all
  select 1, relation.target, relation.owner, relation.acl from relation
  union all
  select 2, function.target, function.owner, function.acl from function
),
wanted_right (target, owner, grantee, privilege) as (
  select schema.target, schema.owner, grantee.name, 'USAGE'
  from schema
  cross join lateral pg_catalog.unnest(schema.users) grantee (name)
  union all
  select relation.target, relation.owner, 'usage_writer', pg_catalog.upper(privilege.name)
  from relation
  cross join lateral pg_catalog.unnest(relation.writer) privilege (name)
  union all
  select relation.target, relation.owner, grantee.name, 'SELECT'
  from relation
  cross join lateral pg_catalog.unnest(relation.readers) grantee (name)
  union all
  select function.target, function.owner, grantee.name, 'EXECUTE'
  from function
  cross join lateral pg_catalog.unnest(function.users) grantee (name)
),
held_right as ( -- of public and of our roles, but for the one that owns everything
  select thing.place, thing.target, thing.owner, coalesce(role.rolname::text, 'public') as grantee,
    held.privilege_type as privilege
  from thing
  cross join lateral pg_catalog.aclexplode(thing.acl) held
  left join pg_catalog.pg_roles role on role.oid = held.grantee
  where held.grantee = 0
    or role.rolname in ('usage_writer', 'usage_retention', 'usage_reader') and held.grantee <> thing.owner
),
held_column as ( -- the same for single columns, those of the system too
  select relation.name as table_name, relation.target, relation.owner, attribute.attname::text as name,
    coalesce(role.rolname::text, 'public') as grantee, pg_catalog.lower(held.privilege_type) as privilege
  from relation
  join pg_catalog.pg_attribute attribute on attribute.attrelid = relation.oid and not attribute.attisdropped
  cross join lateral pg_catalog.aclexplode(attribute.attacl) held
  left join pg_catalog.pg_roles role on role.oid = held.grantee
  where held.grantee = 0
    or role.rolname in ('usage_writer', 'usage_retention', 'usage_reader') and held.grantee <> relation.owner
),
wanted_policy (target, owner, oid, name, is_permissive, command, grantees, condition, new_rows) as (
  select relation.target, relation.owner, relation.oid, usual.*
  from relation
  cross join lateral (
    values
      ('writer_writes', true, '*', array['usage_writer'], 'true', 'true'),
      ('reader_reads', true, 'r', relation.readers, 'true', null)
  ) usual
  where relation.name is not null and relation.is_secured
  union all
  select relation.target, relation.owner, relation.oid, more.name, more.is_permissive, more.command, more.grantees,
    more.condition, more.new_rows
  from relation
  join more_policies more on more.table_name = relation.name
),
differing_policy as (
  select wanted.*, policy.polname is not null as is_there
  from wanted_policy wanted
  left join pg_catalog.pg_policy policy on policy.polrelid = wanted.oid and policy.polname = wanted.name
  where (
    policy.polpermissive, policy.polcmd::text, pg_catalog.pg_get_expr(policy.polqual, policy.polrelid),
    pg_catalog.pg_get_expr(policy.polwithcheck, policy.polrelid),
    array(
      select role.rolname::text from pg_catalog.pg_roles role where role.oid = any (policy.polroles) order by 1
    )
  ) is distinct from (
    wanted.is_permissive, wanted.command, wanted.condition, wanted.new_rows,
    array(select grantee.name from pg_catalog.unnest(wanted.grantees) grantee (name) order by 1)
  )
),
unlisted_policy as (
  select relation.target, relation.owner, policy.polname as name
  from relation
  join pg_catalog.pg_policy policy on policy.polrelid = relation.oid
  where not exists (
      select from wanted_policy wanted where (wanted.oid, wanted.name) = (relation.oid, policy.polname::text)
    )
    and (0 = any (policy.polroles) or exists (
      select
      from pg_catalog.pg_roles role
      where role.oid = any (policy.polroles)
        and role.rolname in ('usage_owner', 'usage_writer', 'usage_retention', 'usage_reader')
    ))
),
needed (step, target, owner, statement) as (
  select thing.place, thing.target, thing.owner, pg_catalog.format('alter %s owner to usage_owner', thing.target)
  from thing
  where pg_catalog.pg_get_userbyid(thing.owner) <> 'usage_owner'
  union all
  select 3, relation.target, relation.owner, pg_catalog.format('alter %s enable row level security', relation.target)
  from relation
  where relation.is_secured and not relation.relrowsecurity
  union all
  select 4, relation.target, relation.owner, pg_catalog.format('alter %s force row level security', relation.target)
  from relation
  where relation.is_secured and not relation.relforcerowsecurity
  union all
  select 5, held.target, held.owner, pg_catalog.format(
    'revoke %s on %s from %s', pg_catalog.lower(held.privilege), held.target, held.grantee)
  from held_right held
  where not exists (
    select
    from wanted_right wanted
    where (wanted.target, wanted.grantee, wanted.privilege) = (held.target, held.grantee, held.privilege)
  )
  union all
  select 5, held.target, held.owner, pg_catalog.format(
    'revoke %s (%I) on %s from %s', held.privilege, held.name, held.target, held.grantee)
  from held_column held
  where not exists (
    select
    from wanted_columns wanted
    where (wanted.table_name, wanted.grantee, wanted.privilege) = (held.table_name, held.grantee, held.privilege)
      and held.name = any (wanted.columns)
  )
  union all
  select 6, wanted.target, wanted.owner, pg_catalog.format(
    'grant %s on %s to %s', pg_catalog.lower(wanted.privilege), wanted.target, wanted.grantee)
  from wanted_right wanted
  where not exists (
    select
    from held_right held
    where (wanted.target, wanted.grantee, wanted.privilege) = (held.target, held.grantee, held.privilege)
  )
  union all
  select 6, relation.target, relation.owner, pg_catalog.format(
    'grant %s (%s) on %s to %s', wanted.privilege, pg_catalog.array_to_string(lacking.columns, ', '),
    relation.target, wanted.grantee)
  from wanted_columns wanted
  join relation on relation.name = wanted.table_name
  cross join lateral (
    select pg_catalog.array_agg(attribute.attname::text order by attribute.attnum) as columns
    from pg_catalog.pg_attribute attribute
    where attribute.attrelid = relation.oid and attribute.attname = any (wanted.columns) and (
      not exists (
        select
        from held_column held
        where (held.table_name, held.name, held.grantee, held.privilege)
          = (wanted.table_name, attribute.attname, wanted.grantee, wanted.privilege)
      )
      or exists ( -- revoked from the table above, it is revoked from its columns too
        select
        from held_right held
        where (held.target, held.grantee, held.privilege)
          = (relation.target, wanted.grantee, pg_catalog.upper(wanted.privilege))
      )
    )
  ) lacking
  where lacking.columns is not null
  union all
  select 7, differing.target, differing.owner,
    pg_catalog.format('drop policy %I on ', differing.name) || pg_catalog.substr(differing.target, 7)
  from differing_policy differing
  where differing.is_there
  union all
  select 7, unlisted.target, unlisted.owner,
    pg_catalog.format('drop policy %I on ', unlisted.name) || pg_catalog.substr(unlisted.target, 7)
  from unlisted_policy unlisted
  union all
  select 8, differing.target, differing.owner, pg_catalog.concat(
    pg_catalog.format('create policy %I on ', differing.name), pg_catalog.substr(differing.target, 7),
    case when not differing.is_permissive then ' as restrictive' end,
    case differing.command when 'r' then ' for select' when 'd' then ' for delete' end,
    ' to ', pg_catalog.array_to_string(differing.grantees, ', '),
    ' using (' || differing.condition || ')', ' with check (' || differing.new_rows || ')')
  from differing_policy differing
)
select needed.statement, needed.step < 3 as is_ownership,
  pg_catalog.pg_has_role(session_user, needed.owner, 'usage')
    or pg_catalog.pg_get_userbyid(needed.owner) = 'usage_owner' as is_permitted
from needed
order by needed.step, needed.target, needed.statement
