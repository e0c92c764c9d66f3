-- missing_objects: one row per object that the newest revision makes and this database lacks, as after a restore of
-- half a dump; no row where all are there. Catalogues only. A new table, function or trigger is a row below. A table in
-- usage_parts is ours if it is a partition of ours or has a name of one, as usage_private.partition_name makes it.
with recursive wanted_table (name) as (
  values
    ('usage.backfills'), ('usage.restatements'), ('usage.rollup_ledger'), ('usage.rollup_policy'),
    ('usage.source_horizon'), ('usage.user_token_usage'), ('usage_private.schema_version'),
    ('usage_parts.user_token_usage_daily'), ('usage_parts.user_token_usage_monthly'),
    ('usage_parts.user_token_usage_weekly'), ('usage_parts.user_token_usage_yearly')
),
wanted_function (name) as (
  values
    ('usage_private.adopt_functions'), ('usage_private.drop_functions'), ('usage_private.ensure_partitions'),
    ('usage_private.guard_seal'), ('usage_private.guard_sealed_rows'), ('usage_private.guard_sealed_table'),
    ('usage_private.now'), ('usage_private.partition_name'), ('usage_private.without_shared_ids')
),
wanted_trigger (table_name, name) as (
  values
    ('usage.rollup_ledger', 'guard_seal'),
    ('usage.user_token_usage', 'guard_deleted'), ('usage.user_token_usage', 'guard_inserted'),
    ('usage.user_token_usage', 'guard_truncated'), ('usage.user_token_usage', 'guard_updated_from'),
    ('usage.user_token_usage', 'guard_updated_to')
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
  select relation.oid, relation.relispartition, namespace.nspname, namespace.nspname || '.' || relation.relname as name
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
  where namespace.nspname in ('usage', 'usage_private', 'usage_parts') and relation.relkind in ('r', 'p')
    and (
      namespace.nspname <> 'usage_parts' or relation.oid in (select part.oid from part)
      or relation.relname ~ '^user_token_usage_(daily(_[0-9]{4}_[0-9]{2})?|(weekly|monthly|yearly)(_[0-9]{4})?)$'
    )
)
select 0 as place, 'table ' || wanted.name as object
from wanted_table wanted
where not exists (select from relation where relation.name = wanted.name)
union all
select 4, 'the primary key of ' || relation.name
from relation
where (relation.nspname = 'usage_parts' or relation.name in (select wanted.name from wanted_table wanted))
  and not exists (
    select from pg_catalog.pg_index key where key.indrelid = relation.oid and key.indisprimary and key.indisvalid
  )
union all
select 3, 'the attachment of ' || relation.name || ' to its table'
from relation
where relation.nspname = 'usage_parts' and not relation.relispartition
union all
select 1, 'function ' || wanted.name
from wanted_function wanted
where not exists (
  select
  from pg_catalog.pg_proc function
  join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
  where namespace.nspname || '.' || function.proname = wanted.name
)
union all
select 2, 'the active trigger ' || wanted.name || ' on ' || wanted.table_name
from wanted_trigger wanted
join relation on relation.name = wanted.table_name
where not exists (
  select
  from pg_catalog.pg_trigger trigger
  where trigger.tgrelid = relation.oid and trigger.tgname = wanted.name and trigger.tgenabled in ('O', 'A')
)
order by place, object
