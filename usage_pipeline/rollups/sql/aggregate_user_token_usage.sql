-- aggregate_user_token_usage: brings one user's row of one period up to date; for who calls it from SQL, by the name
-- and arguments the application's developers know. It is a run of the period, narrowed to the user where that can be.

create or replace function usage.aggregate_user_token_usage(
  p_user_id uuid, p_period_start timestamptz, p_period_end timestamptz, p_period_type text
)
returns void
language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO'
set enable_nestloop = on set jit = off set work_mem = '64MB' -- what a run sets for its statement ends with the call
as $$
declare
  step record;
  starts timestamptz;
begin
  select ladder.* into step
  from usage_private.ladder() ladder
  where ladder.family = 'tokens' and ladder.stored_as = p_period_type;
  if not found then
    raise exception 'there is no period type %', coalesce(p_period_type, 'NULL')
      using errcode = 'UP001', hint = 'give daily, weekly, monthly or yearly';
  end if;
  if p_user_id is null then
    raise exception 'p_user_id is NULL'
      using errcode = 'UP001', detail = 'the function brings one user up to date',
        hint = 'give an id; what belongs to nobody known is 00000000-0000-0000-0000-000000000000';
  end if;
  if p_period_start between '1999-12-27 00:00:00+00' and '2200-01-01 00:00:00+00' then
    starts := usage_private.start_of(step.run_unit, p_period_start);
  end if;
  if starts is null or p_period_start <> starts
    or p_period_end is distinct from usage_private.end_of(step.run_unit, starts) then
    raise exception '% to % is not a period of type %',
      coalesce(p_period_start::text, 'NULL'), coalesce(p_period_end::text, 'NULL'), p_period_type
      using errcode = 'UP001', detail = 'periods begin and end at midnight, UTC; weeks on Monday',
        hint = pg_catalog.format('give %s and %s',
          coalesce(starts::text, 'a start'), coalesce(usage_private.end_of(step.run_unit, starts)::text, 'its end'));
  end if;
  perform usage_private.run_one(step.rollup, p_period_start, p_user_id::text);
exception when check_violation then
  if usage_private.has_partition(p_period_type, p_period_start) then
    raise;
  end if;
  raise exception 'there is no partition yet for % of %', step.rollup,
    usage_private.in_words(step.run_unit, p_period_start)
    using errcode = 'UP001', detail = 'it is made in a call of its own', hint = pg_catalog.format(
      'select usage_private.ensure_partitions(%L, %L, %L)', p_period_type, p_period_start, p_period_end);
end
$$;

create or replace function usage_private.has_partition(period_type text, period_start timestamptz)
returns boolean
language sql stable parallel safe
as $$
  select exists (
    select
    from pg_catalog.pg_class part
    join pg_catalog.pg_namespace place on place.oid = part.relnamespace and place.nspname = 'usage_parts'
    where part.relname = usage_private.partition_name(has_partition.period_type, has_partition.period_start)
  )
$$;
