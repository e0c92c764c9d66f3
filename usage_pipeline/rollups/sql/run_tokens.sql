-- run_tokens: the run of one period of tokens, whole: lock, look, replace, prove, record. Volatile, so that each of its
-- statements sees what is committed when it starts: what is read is read after the locks.
-- intent: run; restate: a sealed period, with a reason; accept: the same, and what the source has lost goes, in an open
-- period that is over and read from raw rows too; user: the seed's function, one user of a day, or of a period never computed.
-- An open period that is over and large is not made less than half of it (loss_guard) unless the loss is accepted, nor
-- by the seed's function user by user.
-- said: computed, or why nothing was: pruned; before the horizon.

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

create or replace function usage_private.run_tokens(
  p_rollup text, p_start timestamptz, p_intent text, p_user uuid, p_reason text, p_run_id text, p_code_version text
)
returns table (
  said text, inserted bigint, updated bigint, deleted bigint, totals_before jsonb
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  began constant timestamptz := pg_catalog.clock_timestamp();
  step record;
  policy record;
  led usage.rollup_ledger;
  kid record;
  written record;
  stored record;
  clock timestamptz;
  ends timestamptz;
  covered timestamptz;
  gap timestamptz;
  reach timestamptz;
  horizon timestamptz;
  first_day timestamptz;
  key text;
  lacking text;
  parts timestamptz[] := '{}';
  missing timestamptz[] := '{}';
  missing_end timestamptz;
  days text;
  below_now jsonb := '{}';
  below_totals jsonb[] := '{}';
  differing record;
  total_only bigint := 0;
  held bigint;
  in_source bigint;
  all_sealed boolean := true;
  any_pruned boolean := false;
  is_raw boolean;
  is_current boolean;
  accepts_open boolean;
  stands_as_it_is boolean := false;
  is_moved boolean;
  seals boolean := false;
begin
  if pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a run needs a transaction that is read committed'
      using errcode = 'UP001', detail = 'one that isolates more looks before it locks',
        hint = 'begin isolation level read committed';
  end if;
  select ladder.*, guard.least_rows, guard.least_share
  into strict step
  from usage_private.ladder() ladder
  join usage_private.loss_guard() guard on guard.family = ladder.family
  where ladder.rollup = p_rollup;
  key := usage_private.in_words(step.run_unit, p_start);
  ends := usage_private.end_of(step.run_unit, p_start);
  -- Runs share it; who erases a person takes it alone.
  perform pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('usage.erasure', 0));
  select rules.* into policy from usage.rollup_policy rules where rules.family = step.family;
  if not found then
    raise exception 'the first day of % is not known to the database', step.family
      using errcode = 'UP001', detail = 'nothing has said it yet', hint = 'usage-pipeline migrate apply';
  end if;
  first_day := policy.first_day::timestamp at time zone 'UTC';
  select known.begins_at into horizon from usage.source_horizon known where known.family = step.family;

  insert into usage.rollup_ledger (rollup, period_start, period_end) values (p_rollup, p_start, ends)
  on conflict (rollup, period_start) do nothing;
  select ledger.* into strict led
  from usage.rollup_ledger ledger
  where ledger.rollup = p_rollup and ledger.period_start = p_start
  for update;
  if led.computed_at is null then
    led.state := null; -- a row that was only made to be locked
  end if;
  held := (led.totals ->> 'message_count')::bigint;
  clock := usage_private.now();
  is_current := p_start <= clock and clock < ends;
  -- its days that have come, for the command that helps
  days := pg_catalog.format('--from %s --to %s', greatest((p_start at time zone 'UTC')::date, policy.first_day),
    least((ends at time zone 'UTC')::date - 1, (clock at time zone 'UTC')::date));

  if clock < p_start then
    raise exception '% of % has not come yet by the database''s clock', p_rollup, key
      using errcode = 'UP001',
        detail = pg_catalog.format('it says %s (UTC)', pg_catalog.to_char(clock at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
        hint = 'wait until it has, or set the clock that is wrong';
  end if;
  if ends <= first_day then
    raise exception '% of % lies before the first day %', p_rollup, key, policy.first_day
      using errcode = 'UP001', detail = 'no partition begins earlier',
        hint = pg_catalog.format('usage-pipeline sources start %s', (p_start at time zone 'UTC')::date);
  end if;
  if led.state = 'pruned' or (coalesce(led.state, 'partial') = 'partial' and usage_private.is_gone(p_rollup, p_start)) then
    if p_intent <> 'run' then
      raise exception '% of % is pruned', p_rollup, key
        using errcode = 'UP004', detail = 'its rows are gone; the periods above hold them',
          hint = pg_catalog.format('usage-pipeline backfill %s --from %s --to %s', (
            select pg_catalog.string_agg(upper.rollup, ' ' order by upper.rollup)
            from usage_private.ladder() upper
            where upper.below = p_rollup
          ), (p_start at time zone 'UTC')::date, (p_start at time zone 'UTC')::date);
    end if;
    delete from usage.rollup_ledger ledger
    where ledger.rollup = p_rollup and ledger.period_start = p_start and led.state is null;
    return query select 'pruned', 0::bigint, 0::bigint, 0::bigint, '{}'::jsonb;
    return;
  end if;
  if p_intent = 'user' and led.state = 'sealed' then
    raise exception '% of % is sealed', p_rollup, key
      using errcode = 'UP004', detail = 'a sealed row changes only by a recorded restatement',
        hint = pg_catalog.format('usage-pipeline restate %s --from %s --to %s --user %s --reason WHY', p_rollup,
          (p_start at time zone 'UTC')::date, (p_start at time zone 'UTC')::date, p_user);
  end if;
  if p_intent = 'user' and step.below is not null and led.state = 'open' then
    p_intent := 'run'; -- what is computed from the periods below knows no single user
    p_user := null;
  end if;

  covered := case
    when led.state = 'sealed' then ends
    when p_intent = 'user' and led.state = 'open' then led.covered_until
    else least(clock, ends)
  end;
  if step.below is not null and p_intent <> 'user' then
    for kid in
      select standing.*
      from usage_private.lock_below(step.below, p_start, ends, first_day, clock, horizon) standing
    loop
      if kid.standing = 'stands' then
        if gap is null or led.state = 'sealed' then
          parts := parts || kid.period_start;
          below_totals := below_totals || kid.totals;
          total_only := total_only + coalesce((kid.states ->> 'total_only')::bigint, 0);
        end if;
        if gap is null then
          reach := greatest(reach, kid.covered_until);
          gap := case when kid.covered_until < kid.period_end then kid.covered_until end;
        end if;
        all_sealed := all_sealed and kid.is_sealed;
        below_now := below_now || pg_catalog.jsonb_build_object(
          pg_catalog.to_char(kid.period_start at time zone 'UTC', 'YYYY-MM-DD'), kid.checksum);
      elsif kid.standing = 'pruned' then
        any_pruned := true;
      elsif kid.standing in ('missing', 'partial') then
        all_sealed := all_sealed and kid.standing = 'missing';
        gap := coalesce(gap, kid.period_start);
        missing := missing || kid.period_start;
        missing_end := kid.period_end;
      end if;
    end loop;
  end if;
  is_raw := step.below is null or p_intent = 'user' or any_pruned;
  accepts_open := is_raw and p_intent = 'accept' and led.state = 'open' and p_user is null and clock >= ends;

  if p_intent in ('restate', 'accept') and led.state is distinct from 'sealed' and not coalesce(accepts_open, false) then
    raise exception '% of % is not sealed', p_rollup, key
      using errcode = 'UP001', detail = 'until it is, a run makes it equal its source',
        hint = pg_catalog.format('usage-pipeline backfill %s --from %s --to %s', p_rollup,
          (p_start at time zone 'UTC')::date, (p_start at time zone 'UTC')::date);
  end if;

  if not is_raw and pg_catalog.cardinality(missing) > 0 and (led.state = 'sealed' or not is_current) then
    select pg_catalog.string_agg(usage_private.in_words(lower.run_unit, named.starts), ', ' order by named.starts)
    into lacking
    from pg_catalog.unnest(missing[1:5]) named (starts)
    join usage_private.ladder() lower on lower.rollup = step.below;
    raise exception '% of % is not computed', p_rollup, key
      using errcode = 'UP001',
        detail = pg_catalog.format('never computed of %s: %s%s', step.below, lacking,
          case when pg_catalog.cardinality(missing) > 5
            then pg_catalog.format(' and %s more', pg_catalog.cardinality(missing) - 5) else '' end),
        hint = pg_catalog.format('usage-pipeline backfill %s --from %s --to %s', step.below,
          (missing[1] at time zone 'UTC')::date, (missing_end at time zone 'UTC')::date - 1);
  end if;
  if not is_raw and led.state = 'sealed' and not all_sealed then
    raise exception '% of % is sealed and stays', p_rollup, key
      using errcode = 'UP001', detail = pg_catalog.format('of %s not every period below it is', step.below),
        hint = pg_catalog.format(
          'usage-pipeline backfill %s --from %s --to %s seals them once their grace of %s days is over', step.below,
          greatest((p_start at time zone 'UTC')::date, policy.first_day), (ends at time zone 'UTC')::date - 1,
          policy.grace_days);
  end if;
  if is_raw and p_start < horizon then
    if p_intent in ('user', 'restate', 'accept') then
      raise exception '% of % begins before the source''s horizon', p_rollup, key
        using errcode = 'UP004',
          detail = pg_catalog.format('raw rows are declared whole from %s on',
            pg_catalog.to_char(horizon at time zone 'UTC', 'YYYY-MM-DD')),
          hint = 'ask for a later period';
    end if;
    if led.state is null then
      delete from usage.rollup_ledger ledger where ledger.rollup = p_rollup and ledger.period_start = p_start;
      return query select 'before the horizon', 0::bigint, 0::bigint, 0::bigint, '{}'::jsonb;
      return;
    end if;
    stands_as_it_is := true;
  end if;
  if not is_raw and led.state is distinct from 'sealed' then
    -- what was read of the periods below, which a clock that was set back, or read before they were held, does not say
    covered := coalesce(gap, greatest(covered, reach));
  end if;

  if led.state = 'sealed' or led.state is not null and (stands_as_it_is or p_intent = 'user') then
    select sums.* into strict stored from usage_private.stored_tokens(step.stored_as, p_start, ends) sums;
    -- Here a run does not make all rows anew. What was altered would look like what the source has lost, be kept, and
    -- get a checksum of its own.
    if (p_intent <> 'accept' or p_user is not null) and stored.checksum <> led.checksum
      and pg_catalog.split_part(stored.checksum, ':', 1) = pg_catalog.split_part(led.checksum, ':', 1)
    then
      raise exception '% of % holds rows that were altered since its last run', p_rollup, key
        using errcode = 'UP001',
          detail = pg_catalog.format('its %s rows have %s tokens, that run left %s rows and %s tokens',
            stored.stored_rows, stored.totals ->> 'total_tokens', led.stored_rows, led.totals ->> 'total_tokens'),
          hint = case
            when stands_as_it_is then 'its source is gone: restore its rows from a backup'
            when led.state = 'sealed' then pg_catalog.format(
              'usage-pipeline restate %s --from %s --to %s --reason WHY --accept-loss makes them what the source says,'
              ' and with --dry-run shows it first',
              p_rollup, (p_start at time zone 'UTC')::date, (p_start at time zone 'UTC')::date)
            else pg_catalog.format('usage-pipeline backfill %s %s', p_rollup, days)
          end;
    end if;
  end if;

  if stands_as_it_is then
    covered := led.covered_until;
    select
      0::bigint as inserted, 0::bigint as updated, 0::bigint as deleted, led.source_rows, led.hourly_rows,
      led.source_rows as message_count, (led.states ->> 'unattributed')::bigint as unattributed_rows,
      (led.states ->> 'total_only')::bigint as total_only_rows, (led.states ->> 'unmetered')::bigint as unmetered_rows,
      (led.states ->> 'refused')::bigint as refused_rows, led.kept_rows, led.kept
    into written;
  else
    if is_raw then
      perform usage_private.require_readable();
    end if;
    if p_intent = 'user' and not usage_private.has_partition(step.stored_as, p_start) then
      raise exception 'there is no partition yet for % of %', p_rollup, key
        using errcode = 'UP001', detail = 'it is made in a call of its own',
          hint = pg_catalog.format('select usage_private.ensure_partitions(%L, %L, %L)', step.stored_as, p_start, ends);
    end if;
    select result.* into strict written
    from usage_private.replace_tokens(
      p_rollup, p_start, ends, covered, is_raw, parts,
      case when p_intent = 'user' then p_user end, case when is_raw then p_user end,
      coalesce(led.state = 'sealed' or accepts_open, false),
      coalesce(led.state = 'sealed' and is_raw and p_intent <> 'accept', false),
      coalesce(p_reason, case when is_raw then 'the source has more' else 'the periods below it changed' end), p_run_id
    ) result;
  end if;
  if led.state is distinct from 'sealed' or written.inserted + written.updated + written.deleted > 0 then
    select sums.* into strict stored from usage_private.stored_tokens(step.stored_as, p_start, ends) sums;
  end if;

  if is_raw and not stands_as_it_is and led.state = 'open' and clock >= ends and p_intent <> 'accept'
    and held >= step.least_rows and stored.message_count < held
  then
    if p_intent = 'user' then
      -- Calls for one user after another each lower what the next one compares with: only the source of all users says
      -- whether it has lost its rows. More than what proves it is not counted.
      select pg_catalog.count(*) into in_source
      from (
        select from usage.token_events(p_start, covered) limit pg_catalog.ceil(step.least_share * held)::bigint
      ) event;
    end if;
    if least(stored.message_count, in_source) < step.least_share * held then
      is_moved := coalesce(in_source >= step.least_share * held, false);
      raise exception '% of % would lose most of its messages', p_rollup, key
        using errcode = 'UP004',
          detail = pg_catalog.format(
            case when is_moved then '%s are stored, %s would remain' else '%s are stored, the source has %s' end,
            held, case when is_moved then stored.message_count else coalesce(in_source, stored.message_count) end)
            || case when step.below is null and led.covered_until < ends
              then pg_catalog.format('; it is computed until %s UTC only: its week, month and year wait for it',
                pg_catalog.to_char(led.covered_until, 'YYYY-MM-DD HH24:MI')) else '' end,
          hint = case
            when is_moved then pg_catalog.format('usage-pipeline backfill %s %s', p_rollup, days)
            else pg_catalog.format(
              'usage-pipeline restate %s --from %s --to %s --reason WHY --accept-loss if they are really to go,'
              ' usage-pipeline sources horizon %s if raw rows were purged', p_rollup,
              (p_start at time zone 'UTC')::date, (p_start at time zone 'UTC')::date, (ends at time zone 'UTC')::date)
          end;
    end if;
  end if;

  if p_intent = 'user' then
    update usage.rollup_ledger ledger
    set
      state = coalesce(led.state, 'partial'),
      covered_until = covered,
      source_rows = case when led.state = 'open' then stored.message_count end,
      states = case when led.state = 'open' then pg_catalog.jsonb_build_object(
        'unattributed', stored.unattributed_rows, 'unmetered', stored.unmetered_rows, 'refused', stored.refused_rows,
        'total_only', least( -- no row keeps it: what the last run counted
          (led.states ->> 'total_only')::bigint, stored.message_count - stored.unmetered_rows - stored.refused_rows))
        else '{}' end,
      hourly_rows = null,
      stored_rows = stored.stored_rows,
      totals = stored.totals,
      checksum = stored.checksum,
      computed_at = clock
    where ledger.rollup = p_rollup and ledger.period_start = p_start;
    return query select
      'computed', written.inserted, written.updated, written.deleted, coalesce(led.totals, '{}');
    return;
  end if;

  if not stands_as_it_is and not is_raw then
    -- what is added up of the rows below is what their last runs left; conversations are counted, not added
    select part.name, pg_catalog.sum(part.total::numeric) as expected, (stored.totals ->> part.name)::numeric as held
    into differing
    from pg_catalog.unnest(below_totals) below (totals)
    cross join lateral pg_catalog.jsonb_each_text(below.totals) part (name, total)
    where part.name <> 'conversation_count'
    group by part.name
    having pg_catalog.count(*) = pg_catalog.cardinality(below_totals)
      and pg_catalog.sum(part.total::numeric) <> (stored.totals ->> part.name)::numeric
    order by part.name = 'total_tokens' desc, part.name
    limit 1;
    if found then
      raise exception '% of % was not stored', p_rollup, key
        using errcode = 'UP001',
          detail = pg_catalog.format('of %s the rows of %s hold %s, their last runs left %s',
            differing.name, step.below, differing.held, differing.expected),
          hint = pg_catalog.format('usage-pipeline backfill %s %s', step.below, days);
    end if;
  end if;
  if not stands_as_it_is and (
    written.message_count <> written.source_rows
    or stored.message_count <> written.source_rows + written.kept_rows
    or written.kept = '{}' and (
      stored.unattributed_rows <> written.unattributed_rows
      or stored.unmetered_rows <> written.unmetered_rows
      or stored.refused_rows <> written.refused_rows
    )
  ) then
    raise exception '% of % was not stored', p_rollup, key
      using errcode = 'UP001',
        detail = pg_catalog.format(
          'the source has %s answers, %s were computed, %s of nobody, %s without tokens and %s refused,'
          ' and %s would be stored, %s, %s and %s', written.source_rows,
          written.message_count, written.unattributed_rows, written.unmetered_rows, written.refused_rows,
          stored.message_count - written.kept_rows,
          stored.unattributed_rows, stored.unmetered_rows, stored.refused_rows),
        hint = 'usage-pipeline migrate status tells whether a function was altered; usage-pipeline migrate apply makes it anew';
  end if;
  seals := led.state is distinct from 'sealed'
    and clock >= ends + pg_catalog.make_interval(days => policy.grace_days)
    and all_sealed and (is_raw or pg_catalog.cardinality(missing) = 0);
  update usage.rollup_ledger ledger
  set
    state = case when led.state = 'sealed' or seals then 'sealed' else 'open' end,
    sealed_at = case when seals then clock else ledger.sealed_at end,
    covered_until = case when led.state = 'sealed' or seals then ends else covered end,
    -- what only the seed's function touched, and stands as it is, has no counts of its own
    source_rows = coalesce(written.source_rows, stored.message_count),
    states = pg_catalog.jsonb_build_object(
      'unattributed', coalesce(written.unattributed_rows, stored.unattributed_rows),
      'total_only', case
        when is_raw then coalesce(written.total_only_rows, 0)
        else least(total_only, written.source_rows - written.unmetered_rows - written.refused_rows)
      end,
      'unmetered', coalesce(written.unmetered_rows, stored.unmetered_rows),
      'refused', coalesce(written.refused_rows, stored.refused_rows)),
    hourly_rows = written.hourly_rows,
    stored_rows = stored.stored_rows,
    totals = stored.totals,
    checksum = stored.checksum,
    below = case when is_raw and written.kept <> '{}' then ledger.below else below_now end,
    kept_rows = written.kept_rows,
    kept = written.kept,
    run_id = p_run_id,
    code_version = p_code_version,
    computed_at = clock,
    duration_ms = pg_catalog.round(1000 * extract(epoch from pg_catalog.clock_timestamp() - began))::bigint
  where ledger.rollup = p_rollup and ledger.period_start = p_start;
  return query select
    'computed', written.inserted, written.updated, written.deleted, coalesce(led.totals, '{}');
end
$$;
