-- look: what one run may decide from, under its locks: a row of the period itself, then one of each period below,
-- oldest first. Knows no measure and no table of rows. The ledger row is made if it is missing, then locked, in
-- statements of their own: what is read afterwards is what is committed then.

create or replace function usage_private.look(
  p_family text, p_rollup text, p_start timestamptz, p_end timestamptz, p_below text, p_below_unit text
)
returns table (
  clock timestamptz, first_day timestamptz, grace_days integer, horizon timestamptz,
  is_below boolean, starts timestamptz, ends timestamptz, is_gone boolean, ledger usage.rollup_ledger
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
  known record;
  own usage.rollup_ledger;
begin
  if pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a run needs a transaction that is read committed'
      using errcode = 'UP001', detail = 'one that isolates more looks before it locks',
        hint = 'begin isolation level read committed';
  end if;
  -- For the statement that follows. Of rows that were stored a moment ago the planner guesses one, and a nested loop
  -- would go through all units again for each of them.
  perform pg_catalog.set_config(setting.name, setting.value, true)
  from (values ('enable_nestloop', 'off'), ('work_mem', '64MB'), ('jit', 'off')) setting (name, value);
  perform pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('usage.erasure', 0));
  insert into usage.rollup_ledger (rollup, period_start, period_end) values (p_rollup, p_start, p_end)
  on conflict (rollup, period_start) do nothing;
  select held.* into strict own
  from usage.rollup_ledger held
  where held.rollup = p_rollup and held.period_start = p_start
  for update;
  if own.computed_at is null then
    own.state := null; -- a row that was only made to be locked
  end if;
  perform
  from usage.rollup_ledger held
  where held.rollup = p_below and held.period_start >= p_start and held.period_start < p_end
  order by held.period_start
  for share;
  if p_below is null and own.state is distinct from 'pruned' then
    perform usage_private.require_readable();
  end if;
  select usage_private.now() as clock, policy.first_day, policy.grace_days, horizon.begins_at as horizon
  into known
  from (select) nothing
  left join usage.rollup_policy policy on policy.family = p_family
  left join usage.source_horizon horizon on horizon.family = p_family;
  return query
  select
    known.clock, known.first_day::timestamp at time zone 'UTC', known.grace_days, known.horizon,
    false, p_start, p_end,
    coalesce(own.state, 'partial') = 'partial' and usage_private.is_gone(p_rollup, p_start), own
  union all
  (
    select
      known.clock, known.first_day::timestamp at time zone 'UTC', known.grace_days, known.horizon,
      true, period.starts, usage_private.end_of(p_below_unit, period.starts),
      coalesce(held.state, 'partial') = 'partial' and usage_private.is_gone(p_below, period.starts), held
    from (
      select local.at at time zone 'UTC' as starts
      from pg_catalog.generate_series(
        p_start at time zone 'UTC', p_end at time zone 'UTC' - interval '1 microsecond',
        ('1 ' || p_below_unit)::interval
      ) local (at)
      where p_below is not null
    ) period
    left join usage.rollup_ledger held
      on held.rollup = p_below and held.period_start = period.starts and held.computed_at is not null
    order by period.starts
  );
end
$$;
