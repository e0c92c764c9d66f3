-- The tables that hold rows of ours, one row each, as they stand now: partitions show as their parent, and the one that
-- says at which revision the schema stands is left out. A counter is where the sequence behind a column has come to.
select
  relation.oid, namespace.nspname as schema, relation.relname as name, relation.relforcerowsecurity as is_forced,
  relation.relkind = 'p' as is_partitioned, columns.list as columns, columns.counters,
  coalesce((
    select pg_catalog.array_agg(attribute.attname::text order by part.position)
    from pg_catalog.pg_index key
    cross join lateral pg_catalog.unnest(key.indkey::smallint[]) with ordinality part (number, position)
    join pg_catalog.pg_attribute attribute on attribute.attrelid = key.indrelid and attribute.attnum = part.number
    where key.indrelid = relation.oid and key.indisprimary
  ), '{}') as key
from pg_catalog.pg_class relation
join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
cross join lateral (
  select
    pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'number', attribute.attnum, 'name', attribute.attname, 'is_generated', attribute.attgenerated <> '',
      'type', pg_catalog.format_type(attribute.atttypid, attribute.atttypmod)) order by attribute.attnum) as list,
    coalesce(pg_catalog.jsonb_object_agg(attribute.attname, pg_catalog.pg_sequence_last_value(counter.name::regclass))
      filter (where pg_catalog.pg_sequence_last_value(counter.name::regclass) is not null), '{}') as counters
  from pg_catalog.pg_attribute attribute
  cross join lateral (
    select pg_catalog.pg_get_serial_sequence(
      pg_catalog.format('%I.%I', namespace.nspname, relation.relname), attribute.attname)
  ) counter (name)
  where attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
) columns
where namespace.nspname in ('usage', 'usage_private', 'usage_parts')
  and relation.relkind in ('r', 'p') and not relation.relispartition
  and pg_catalog.pg_get_userbyid(relation.relowner) = 'usage_owner'
  and (namespace.nspname, relation.relname) <> ('usage_private', 'schema_version')
order by namespace.nspname, relation.relname
