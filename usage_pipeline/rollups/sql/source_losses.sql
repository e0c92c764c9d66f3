-- source_losses: the large periods read from raw rows that are over, newest first, each with whether the source has lost
-- its rows; source_is_empty: whether the source holds no message at all. Neither writes, and neither reads JSON.

create or replace function usage_private.source_losses(
  p_rollup text, window_start timestamptz, window_end timestamptz, patience interval
)
returns table (
  period_start timestamptz, period_end timestamptz, state text, stored_messages bigint, source_messages bigint,
  is_lost boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
as $$
-- Of a period that is whole no more is counted than what proves it: source_messages is NULL. Once the patience is over
-- nothing more is counted, and is_lost is NULL; a patience of NULL has no end.
declare
  held record;
  began constant timestamptz := pg_catalog.clock_timestamp();
begin
  perform usage_private.require_readable(); -- hidden rows would look like lost ones
  for held in
    select ledger.period_start, ledger.period_end, ledger.state, stored.messages,
      pg_catalog.ceil(guard.least_share * stored.messages)::bigint as needed
    from usage_private.ladder() step
    join usage_private.families() guard on guard.family = step.family
    join usage.rollup_ledger ledger on ledger.rollup = step.rollup
    cross join lateral (select (ledger.totals ->> 'message_count')::bigint) stored (messages)
    left join usage.source_horizon horizon on horizon.family = step.family
    where step.rollup = p_rollup
      and ledger.period_start >= source_losses.window_start and ledger.period_start < source_losses.window_end
      and ledger.period_end <= usage_private.now()
      and ledger.state in ('open', 'sealed')
      and stored.messages >= guard.least_rows
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
    stored_messages := held.messages;
    source_messages := null;
    is_lost := null;
    if patience is null or pg_catalog.clock_timestamp() < began + patience then
      select pg_catalog.count(*) into source_messages
      from (select from usage.token_events(held.period_start, held.period_end) limit held.needed) event;
      is_lost := source_messages < held.needed;
      source_messages := case when is_lost then source_messages end;
    end if;
    return next;
  end loop;
end
$$;

create or replace function usage_private.source_is_empty() returns boolean
language sql stable parallel safe
as $$
  select not exists (
    select from usage.token_events('2000-01-01 00:00:00+00', usage_private.now() + interval '1 day')
  )
$$;
