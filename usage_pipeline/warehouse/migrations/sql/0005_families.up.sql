-- The ledger, restatements and guards know no family: its states, its key and its measures stand in jsonb, its table
-- and its grains in the arguments of the triggers and in usage_private.ladder(). The clock is plain SQL.
create or replace function usage_private.now() returns timestamptz
language sql stable parallel safe
as 'select pg_catalog.clock_timestamp()'; -- test databases have another body, which reads a table

create function usage_private.without_shared_ids(own jsonb, other jsonb, id_columns text[]) returns jsonb
language sql immutable parallel safe
as $$
  -- A row, of whose arrays of ids only those stay that the other row lacks, sorted. NULL if there is no row.
  select pg_catalog.jsonb_object_agg(field.name, case
    when field.name = any (without_shared_ids.id_columns) and pg_catalog.jsonb_typeof(field.value) = 'array'
      and pg_catalog.jsonb_typeof(without_shared_ids.other -> field.name) = 'array'
    then (
      select coalesce(pg_catalog.jsonb_agg(alone.id order by alone.id #>> '{}' collate "C"), '[]')
      from (
        select pg_catalog.jsonb_array_elements(field.value)
        except
        select pg_catalog.jsonb_array_elements(without_shared_ids.other -> field.name)
      ) alone (id)
    )
    else field.value
  end)
  from pg_catalog.jsonb_each(without_shared_ids.own) field (name, value)
$$;
revoke all on function usage_private.without_shared_ids(jsonb, jsonb, text[]) from public;
grant execute on function usage_private.without_shared_ids(jsonb, jsonb, text[]) to usage_writer;

alter table usage.rollup_ledger
  add column states jsonb not null default '{}' check (pg_catalog.jsonb_typeof(states) = 'object');
alter table usage.rollup_ledger no force row level security; -- forced, it would show its owner no row to fill
update usage.rollup_ledger
set
  states = pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'unattributed', unattributed_rows, 'total_only', total_only_rows,
    'unmetered', unmetered_rows, 'refused', refused_rows)),
  kept = coalesce((
    select pg_catalog.jsonb_object_agg(unit.key, unit.value - array['messages', 'tokens']
      || pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'message_count', unit.value -> 'messages', 'total_tokens', unit.value -> 'tokens')))
    from pg_catalog.jsonb_each(kept) unit
  ), '{}')
where unattributed_rows is not null or total_only_rows is not null or unmetered_rows is not null
  or refused_rows is not null or kept <> '{}';
alter table usage.rollup_ledger force row level security;
alter table usage.rollup_ledger
  drop column unattributed_rows, drop column total_only_rows, drop column unmetered_rows, drop column refused_rows;
comment on column usage.rollup_ledger.states is
  'Its source rows by what they lack: of no known unit (unattributed), and by each state of the family.';
comment on column usage.rollup_ledger.kept_rows is
  'In a sealed period read from raw rows: source rows that are stored and that the source no longer has.';
comment on column usage.rollup_ledger.kept is
  'By unit (user, API): what is stored beyond the source, by the measures that guard the seal; below it, if negative.';

alter table usage.restatements add column key jsonb check (pg_catalog.jsonb_typeof(key) = 'object');
alter table usage.restatements no force row level security;
update usage.restatements restated
set
  key = pg_catalog.jsonb_build_object('user_id', restated.user_id),
  before = usage_private.without_shared_ids(restated.before, restated.after, array['agent_ids', 'conversation_ids']),
  after = usage_private.without_shared_ids(restated.after, restated.before, array['agent_ids', 'conversation_ids']);
alter table usage.restatements force row level security;
revoke insert (user_id) on usage.restatements from usage_writer; -- up to 15 a dropped column keeps its rights
alter table usage.restatements alter column key set not null, drop column user_id;
create index on usage.restatements (rollup, period_start, key, transaction_id);
grant insert (key) on usage.restatements to usage_writer;
comment on column usage.restatements.key is
  'Which row: the key''s columns, with period_start (UTC) where rows are finer than the run''s period.';
comment on column usage.restatements.before is
  'The row''s numbers as they were, of its ids only those that it lost; NULL: there was none.';
comment on column usage.restatements.after is
  'The row''s numbers as they are since, of its ids only those that it gained; NULL: it is gone.';

create or replace function usage_private.guard_sealed_rows() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
-- A row of a sealed period changes only in a transaction that has recorded it as restated; of a pruned one, never.
-- The period is held: whoever changes a row meanwhile waits for the run that seals it, and the run for them.
-- Arguments: the family, the column of its grain, the columns of its key. Few periods change at once, so they are
-- looked up first, and rows compared only in those that are sealed. Keys are written as the recording run writes them.
declare
  held record;
  is_refused boolean;
begin
  if not exists (select from changed) then
    return null;
  end if;
  for held in execute pg_catalog.format(
    'select ledger.rollup, ledger.period_start, ledger.period_end, ledger.state, step.stored_as,'
    ' case when step.row_unit = step.run_unit then $2 else $2 || ''period_start''::text end as key'
    ' from usage.rollup_ledger ledger'
    ' join usage_private.ladder() step on step.rollup = ledger.rollup'
    ' where (ledger.rollup, ledger.period_start) in ('
    '   select step.rollup, pg_catalog.date_trunc(step.run_unit, part.period_start, ''UTC'')'
    '   from (select distinct changed.%1$I as stored_as, changed.period_start from changed) part'
    '   join usage_private.ladder() step on step.family = $1 and step.stored_as = part.stored_as'
    ' )'
    ' order by ledger.period_end - ledger.period_start desc, ledger.period_start'
    ' for share of ledger', tg_argv[1]) using tg_argv[0], tg_argv[2:]
  loop
    is_refused := held.state = 'pruned';
    if held.state = 'sealed' then
      execute pg_catalog.format(
        'select exists ('
        '   select from changed'
        '   where changed.%1$I = $1 and changed.period_start >= $3 and changed.period_start < $4'
        '     and pg_catalog.jsonb_build_object(%2$s) not in (' -- hashed, whatever the planner knows of new rows
        '       select restated.key from usage.restatements restated'
        '       where restated.rollup = $2 and restated.period_start = $3'
        '         and restated.transaction_id = pg_catalog.pg_current_xact_id()'
        '     )'
        ' )', tg_argv[1], (
          select pg_catalog.string_agg(pg_catalog.format('%1$L, changed.%1$I', part.name), ', ')
          from pg_catalog.unnest(held.key) part (name)
        )) into is_refused using held.stored_as, held.rollup, held.period_start, held.period_end;
    end if;
    if is_refused then
      raise exception '% of % is %', held.rollup,
        pg_catalog.to_char(held.period_start at time zone 'UTC', 'YYYY-MM-DD'), held.state
        using errcode = 'UP004', detail = 'a sealed row changes only by a recorded restatement',
          hint = 'usage-pipeline restate --help';
    end if;
  end loop;
  return null;
end
$$;

create or replace function usage_private.guard_sealed_table() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- Emptying the table would take sealed rows with it. Argument: the family.
begin
  if exists (
    select
    from usage.rollup_ledger ledger
    join usage_private.ladder() step on step.rollup = ledger.rollup
    where step.family = tg_argv[0] and ledger.state = 'sealed'
  ) then
    raise exception '%.% holds sealed periods', tg_table_schema, tg_table_name
      using errcode = 'UP004', detail = 'a sealed row changes only by a recorded restatement',
        hint = 'usage-pipeline restate --help';
  end if;
  return null;
end
$$;

create or replace trigger guard_inserted after insert on usage.user_token_usage
  referencing new table as changed for each statement
  execute function usage_private.guard_sealed_rows('tokens', 'period_type', 'user_id');
create or replace trigger guard_deleted after delete on usage.user_token_usage
  referencing old table as changed for each statement
  execute function usage_private.guard_sealed_rows('tokens', 'period_type', 'user_id');
create or replace trigger guard_updated_from after update on usage.user_token_usage
  referencing old table as changed for each statement
  execute function usage_private.guard_sealed_rows('tokens', 'period_type', 'user_id');
create or replace trigger guard_updated_to after update on usage.user_token_usage
  referencing new table as changed for each statement
  execute function usage_private.guard_sealed_rows('tokens', 'period_type', 'user_id');
create or replace trigger guard_truncated before truncate on usage.user_token_usage
  for each statement execute function usage_private.guard_sealed_table('tokens');
