-- run_one: one unit's row of one period brought up to date, for who calls from SQL; the rules are those of `decide` and
-- `prove`. Of an open period that is made from the periods below all units are brought up to date, because their rows
-- share one coverage. Nothing is sealed here.

create or replace function usage_private.refuse_run(
  p_rollup text, p_start timestamptz, code text, what text, why text, fix text
)
returns void
language plpgsql stable
as $$
begin
  raise exception '% of % %', p_rollup, (
    select usage_private.in_words(step.run_unit, p_start) from usage_private.ladder() step where step.rollup = p_rollup
  ), what using errcode = code, detail = why, hint = fix;
end
$$;

create or replace function usage_private.require_free(
  p_rollup text, clock timestamptz, first_day timestamptz, is_gone boolean, own usage.rollup_ledger, option text
)
returns void
language plpgsql stable
as $$
-- Refuses a period that no call for one unit may write.
declare
  starts constant timestamptz := own.period_start;
  span constant text := pg_catalog.format('--from %1$s --to %1$s', (starts at time zone 'UTC')::date);
  above text;
begin
  if clock < starts then
    perform usage_private.refuse_run(p_rollup, starts, 'UP001', 'has not come yet by the database''s clock',
      pg_catalog.format('it says %s (UTC)', pg_catalog.to_char(clock at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
      'wait until it has, or set the clock that is wrong');
  elsif own.period_end <= first_day then
    perform usage_private.refuse_run(p_rollup, starts, 'UP001',
      pg_catalog.format('lies before the first day %s', (first_day at time zone 'UTC')::date),
      'no partition begins earlier',
      pg_catalog.format('usage-pipeline sources start %s', (starts at time zone 'UTC')::date));
  elsif own.state = 'pruned' or is_gone then
    select pg_catalog.string_agg(upper.rollup, ' ' order by upper.rollup) into above
    from usage_private.ladder() upper
    where upper.below = p_rollup;
    perform usage_private.refuse_run(p_rollup, starts, 'UP004', 'is pruned',
      'its rows are gone; the periods above hold them', pg_catalog.format('usage-pipeline backfill %s %s', above, span));
  elsif own.state = 'sealed' then
    perform usage_private.refuse_run(p_rollup, starts, 'UP004', 'is sealed',
      'a sealed row changes only by a recorded restatement',
      pg_catalog.format('usage-pipeline restate %s %s %s --reason WHY', p_rollup, span, option));
  end if;
end
$$;

create or replace function usage_private.record_found(
  p_rollup text, p_start timestamptz, p_state text, p_covered_until timestamptz, found jsonb, base jsonb,
  lower_states jsonb[], p_below jsonb, clock timestamptz
)
returns void
language sql volatile
as $$
  -- The ledger after it. A state that the table has no column for is carried from the states before, or below.
  update usage.rollup_ledger ledger
  set
    state = p_state,
    covered_until = p_covered_until,
    source_rows = counted.source_rows,
    states = case when p_state = 'partial' then '{}' else base || coalesce(carried.states, '{}') end,
    hourly_rows = null,
    stored_rows = (found ->> 'stored_rows')::bigint,
    totals = found -> 'totals',
    checksum = found ->> 'checksum',
    below = coalesce(p_below, ledger.below),
    run_id = case when p_below is null then ledger.run_id else 'usage_private.run_one' end,
    code_version = case when p_below is null then ledger.code_version end,
    computed_at = clock
  from usage_private.ladder() step
  join usage_private.families() of_family on of_family.family = step.family
  cross join lateral (
    select case when p_state <> 'partial' then (found -> 'totals' ->> of_family.count_column)::bigint end
  ) counted (source_rows)
  cross join lateral (
    select pg_catalog.jsonb_object_agg(part.name, least(part.amount, counted.source_rows - rest.stored)) as states
    from (
      select lower.name, pg_catalog.sum(lower.amount::bigint) as amount
      from pg_catalog.unnest(lower_states) each (states)
      cross join lateral pg_catalog.jsonb_each_text(each.states) lower (name, amount)
      where not base ? lower.name
      group by lower.name
    ) part
    cross join (
      select coalesce(pg_catalog.sum(stored.amount::bigint), 0) as stored
      from pg_catalog.jsonb_each_text(base - 'unattributed') stored (name, amount)
    ) rest
  ) carried
  where step.rollup = p_rollup and ledger.rollup = p_rollup and ledger.period_start = p_start
$$;

create or replace function usage_private.run_from_below(p_rollup text, p_start timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  step record;
  seen record;
  own record;
  found jsonb;
  differing record;
  gap timestamptz;
  covered timestamptz;
  parts timestamptz[] := '{}';
  parts_totals jsonb[] := '{}';
  parts_states jsonb[] := '{}';
  below jsonb := '{}';
  span constant text := pg_catalog.format(' --from %1$s --to %1$s', p_start::date);
begin
  select ladder.family, ladder.run_unit, ladder.below, lower.run_unit as below_unit, of_family.count_column, of_family.added
  into strict step
  from usage_private.ladder() ladder
  join usage_private.families() of_family on of_family.family = ladder.family
  join usage_private.ladder() lower on lower.rollup = ladder.below
  where ladder.rollup = p_rollup;
  for seen in
    select look.*, (look.ledger).*
    from usage_private.look(
      step.family, p_rollup, p_start, usage_private.end_of(step.run_unit, p_start), step.below, step.below_unit) look
  loop
    if not seen.is_below then
      own := seen;
      covered := least(own.clock, own.ends);
    elsif seen.state = 'pruned' or seen.is_gone then
      perform usage_private.refuse_run(p_rollup, p_start, 'UP001', 'is read from raw rows, for all users at once',
        'a period below it is pruned', 'usage-pipeline backfill ' || p_rollup || span);
    elsif seen.state in ('open', 'sealed') then
      below := below || pg_catalog.jsonb_build_object(pg_catalog.to_char(seen.starts, 'YYYY-MM-DD'), seen.checksum);
      if gap is null then
        parts := parts || seen.starts;
        parts_totals := parts_totals || seen.totals;
        parts_states := parts_states || seen.states;
        covered := greatest(covered, seen.covered_until);
        gap := case when seen.covered_until < seen.ends then seen.covered_until end;
      end if;
    elsif seen.ends > own.first_day and seen.starts <= own.clock
      and (seen.state = 'partial' or seen.starts >= coalesce(own.horizon, '-infinity')) then
      gap := coalesce(gap, seen.starts);
      if own.clock >= own.ends then
        perform usage_private.refuse_run(p_rollup, p_start, 'UP001', 'is not computed', pg_catalog.format(
          'never computed of %s: %s', step.below, usage_private.in_words(step.below_unit, seen.starts)),
          pg_catalog.format('usage-pipeline backfill %s --from %2$s --to %2$s', step.below, seen.starts::date));
      end if;
    end if;
  end loop;
  execute pg_catalog.format('select usage_private.%I($1, $2, null, $3, null)', p_rollup || '_from_below')
  into found using p_start, own.ends, parts;
  select part.name, pg_catalog.sum((part.total #>> '{}')::numeric) as expected, found -> 'totals' ->> part.name as held
  into differing
  from pg_catalog.unnest(parts_totals) lower (totals)
  cross join lateral pg_catalog.jsonb_each(lower.totals) part (name, total)
  where part.name = any (step.added)
  group by part.name
  having pg_catalog.sum((part.total #>> '{}')::numeric) is distinct from (found -> 'totals' ->> part.name)::numeric
    and pg_catalog.count(*) = pg_catalog.cardinality(parts_totals)
  limit 1;
  if differing.name is not null then
    perform usage_private.refuse_run(p_rollup, p_start, 'UP001', 'was not stored', pg_catalog.format(
      'of %s the rows of %s hold %s, their last runs left %s', differing.name, step.below, differing.held,
      differing.expected), 'usage-pipeline backfill ' || step.below || span);
  elsif found -> 'totals' -> step.count_column is distinct from found -> 'source_rows'
    or found -> 'states' <> found -> 'computed_states' then
    perform usage_private.refuse_run(p_rollup, p_start, 'UP001', 'was not stored',
      'what is stored is not what was computed', 'usage-pipeline migrate status reports a function that was altered');
  end if;
  perform usage_private.record_found(
    p_rollup, p_start, 'open', coalesce(gap, covered), found, found -> 'computed_states', parts_states, below, own.clock);
end
$$;

create or replace function usage_private.run_one(p_rollup text, p_start timestamptz, p_only text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  step record;
  own record;
  found jsonb;
  covered timestamptz;
  held bigint;
  remaining bigint;
  in_source bigint;
  is_lost boolean;
  span text := pg_catalog.format(' %s --from %2$s --to %2$s', p_rollup, p_start::date);
begin
  select ladder.run_unit, ladder.below, lower.run_unit as below_unit, of_family.*
  into strict step
  from usage_private.ladder() ladder
  join usage_private.families() of_family on of_family.family = ladder.family
  left join usage_private.ladder() lower on lower.rollup = ladder.below
  where ladder.rollup = p_rollup;
  select look.*, (look.ledger).* into strict own
  from usage_private.look(
    step.family, p_rollup, p_start, usage_private.end_of(step.run_unit, p_start), step.below, step.below_unit) look
  where not look.is_below;
  perform usage_private.require_free(
    p_rollup, own.clock, own.first_day, own.is_gone, own.ledger, pg_catalog.format('--%s %s', step.unit, p_only));
  if own.state = 'open' and step.below is not null then
    perform usage_private.run_from_below(p_rollup, p_start);
    return;
  elsif p_start < own.horizon then
    perform usage_private.refuse_run(p_rollup, p_start, 'UP004', 'begins before the source''s horizon',
      pg_catalog.format('raw rows are declared whole from %s on', own.horizon::date), 'ask for a later period');
  end if;
  perform usage_private.require_readable();
  covered := case when own.state = 'open' then own.covered_until else least(own.clock, own.ends) end;
  execute pg_catalog.format('select usage_private.%I($1, $2, $3, null, %L)', 'one_of_' || p_rollup, p_only)
  into found using p_start, own.ends, covered;
  held := own.totals ->> step.count_column;
  remaining := found -> 'totals' ->> step.count_column;
  in_source := found ->> 'source_rows';
  if own.state is not null and found ->> 'checksum_before' <> own.checksum
    and pg_catalog.split_part(found ->> 'checksum_before', ':', 1) = pg_catalog.split_part(own.checksum, ':', 1) then
    perform usage_private.refuse_run(p_rollup, p_start, 'UP001', 'holds rows that were altered since its last run',
      'their checksum is not that of the ledger', 'usage-pipeline backfill' || span);
  elsif own.state = 'open' and own.clock >= own.ends and held >= step.least_rows and remaining < held
    and least(remaining, in_source) < step.least_share * held then
    is_lost := in_source < step.least_share * held;
    perform usage_private.refuse_run(p_rollup, p_start, 'UP004', 'would lose most of its ' || step.events,
      pg_catalog.format(
        case when is_lost then '%s are stored, the source has %s' else '%s are stored, %s would remain' end,
        held, case when is_lost then in_source else remaining end),
      case when is_lost then 'usage-pipeline restate' || span || ' --reason WHY --accept-loss if they are really to go'
        else 'usage-pipeline backfill' || span end);
  end if;
  perform usage_private.record_found(p_rollup, p_start, coalesce(own.state, 'partial'), covered, found,
    found -> 'states', array[own.states], null, own.clock);
end
$$;
