-- source_losses: the large periods read from raw rows that are over, newest first, each with whether the source has lost
-- its rows; any_event: the instant of one row that it holds in a window, NULL if it holds none. Neither writes, and
-- neither reads JSON. Both find the source by the contract of the rollup's family.

create or replace function usage_private.source_losses(
  p_rollup text, window_start timestamptz, window_end timestamptz, patience interval
)
returns table (
  period_start timestamptz, period_end timestamptz, state text, stored_rows bigint, source_rows bigint,
  is_lost boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
as $$
-- Of a period that is whole no more is counted than what proves it: source_rows is NULL. Once the patience is over
-- nothing more is counted, and is_lost is NULL; a patience of NULL has no end.
declare
  held record;
  began constant timestamptz := pg_catalog.clock_timestamp();
begin
  perform usage_private.require_readable(); -- hidden rows would look like lost ones
  for held in
    select ledger.period_start, ledger.period_end, ledger.state, stored.events, guard.contract,
      pg_catalog.ceil(guard.least_share * stored.events)::bigint as needed
    from usage_private.ladder() step
    join usage_private.families() guard on guard.family = step.family
    join usage.rollup_ledger ledger on ledger.rollup = step.rollup
    cross join lateral (select (ledger.totals ->> guard.count_column)::bigint) stored (events)
    left join usage.source_horizon horizon on horizon.family = step.family
    where step.rollup = p_rollup
      and ledger.period_start >= source_losses.window_start and ledger.period_start < source_losses.window_end
      and ledger.period_end <= usage_private.now()
      and ledger.state in ('open', 'sealed')
      and stored.events >= guard.least_rows
      and ledger.period_start >= coalesce(horizon.begins_at, '-infinity')
      and (step.below is null or exists (
        select
        from usage.rollup_ledger below
        where below.rollup = step.below and below.state = 'pruned'
          and below.period_start >= ledger.period_start and below.period_start < ledger.period_end
      ))
    order by ledger.period_start desc
  loop
    period_start := held.period_start;
    period_end := held.period_end;
    state := held.state;
    stored_rows := held.events;
    source_rows := null;
    is_lost := null;
    if patience is null or pg_catalog.clock_timestamp() < began + patience then
      execute pg_catalog.format('select count(*) from (select from usage.%I($1, $2) limit $3) event', held.contract)
        into source_rows using held.period_start, held.period_end, held.needed;
      is_lost := source_rows < held.needed;
      source_rows := case when is_lost then source_rows end;
    end if;
    return next;
  end loop;
end
$$;

create or replace function usage_private.any_event(p_rollup text, window_start timestamptz, window_end timestamptz)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
set enable_seqscan = off -- the first row of an index range, not the first that a scan of the table comes upon
as $$
declare
  contract constant text := (
    select source.contract
    from usage_private.ladder() step
    join usage_private.families() source on source.family = step.family
    where step.rollup = p_rollup
  );
  found timestamptz;
begin
  execute pg_catalog.format('select event.occurred_at from usage.%I($1, $2) event limit 1', contract)
    into found using window_start, window_end;
  return found;
end
$$;
