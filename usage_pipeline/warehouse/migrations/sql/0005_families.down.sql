-- Gives the ledger, restatements and guards the names of tokens back. The ids of restated rows stay as they are.
create or replace trigger guard_inserted after insert on usage.user_token_usage
  referencing new table as changed for each statement execute function usage_private.guard_sealed_rows();
create or replace trigger guard_deleted after delete on usage.user_token_usage
  referencing old table as changed for each statement execute function usage_private.guard_sealed_rows();
create or replace trigger guard_updated_from after update on usage.user_token_usage
  referencing old table as changed for each statement execute function usage_private.guard_sealed_rows();
create or replace trigger guard_updated_to after update on usage.user_token_usage
  referencing new table as changed for each statement execute function usage_private.guard_sealed_rows();
create or replace trigger guard_truncated before truncate on usage.user_token_usage
  for each statement execute function usage_private.guard_sealed_table();

create or replace function usage_private.guard_sealed_table() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- Emptying the table would take sealed rows with it.
begin
  if exists (
    select
    from usage.rollup_ledger ledger
    where ledger.rollup like 'tokens\_%' and ledger.state = 'sealed'
  ) then
    raise exception 'usage.user_token_usage holds sealed periods'
      using errcode = 'UP004', detail = 'a sealed row changes only by a recorded restatement',
        hint = 'usage-pipeline restate --help';
  end if;
  return null;
end
$$;

create or replace function usage_private.guard_sealed_rows() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- A row of a sealed period changes only in a transaction that has recorded it as restated; of a pruned one, never.
-- The period is held: whoever changes a row meanwhile waits for the run that seals it, and the run for them.
declare
  held record;
begin
  for held in
    select ledger.rollup, ledger.period_start, ledger.state
    from usage.rollup_ledger ledger
    where (ledger.rollup, ledger.period_start) in (
      select 'tokens_' || changed.period_type, changed.period_start
      from changed
    )
    order by ledger.period_end - ledger.period_start desc, ledger.period_start
    for share
  loop
    if held.state = 'pruned' or held.state = 'sealed' and exists (
      select
      from changed
      where 'tokens_' || changed.period_type = held.rollup and changed.period_start = held.period_start
        and not exists (
          select
          from usage.restatements restated
          where restated.rollup = held.rollup and restated.period_start = held.period_start
            and restated.user_id = changed.user_id
            and restated.transaction_id = pg_catalog.pg_current_xact_id()
        )
    ) then
      raise exception '% of % is %', held.rollup,
        pg_catalog.to_char(held.period_start at time zone 'UTC', 'YYYY-MM-DD'), held.state
        using errcode = 'UP004', detail = 'a sealed row changes only by a recorded restatement',
          hint = 'usage-pipeline restate --help';
    end if;
  end loop;
  return null;
end
$$;

alter table usage.restatements add column user_id uuid;
alter table usage.restatements no force row level security; -- forced, it would show its owner no row to fill
update usage.restatements set user_id = (key ->> 'user_id')::uuid;
alter table usage.restatements force row level security;
revoke insert (key) on usage.restatements from usage_writer; -- up to 15 a dropped column keeps its rights
alter table usage.restatements alter column user_id set not null, drop column key;
create index on usage.restatements (rollup, period_start, user_id, transaction_id);
grant insert (user_id) on usage.restatements to usage_writer;
comment on column usage.restatements.before is 'The row''s numbers as they were; NULL: there was none.';
comment on column usage.restatements.after is 'The row''s numbers as they are since; NULL: it is gone.';

-- `kept` becomes another column, so that a rollback saves it: under the same name it means something else from here on.
alter table usage.rollup_ledger rename column kept to kept_by_measure;
alter table usage.rollup_ledger drop constraint rollup_ledger_kept_check, alter column kept_by_measure drop not null;
alter table usage.rollup_ledger
  add column kept jsonb not null default '{}' check (pg_catalog.jsonb_typeof(kept) = 'object'),
  add column unattributed_rows bigint check (unattributed_rows between 0 and source_rows),
  add column total_only_rows bigint check (total_only_rows >= 0),
  add column unmetered_rows bigint check (unmetered_rows >= 0),
  add column refused_rows bigint check (refused_rows >= 0),
  add check (total_only_rows + unmetered_rows + refused_rows <= source_rows);
alter table usage.rollup_ledger no force row level security;
update usage.rollup_ledger
set
  unattributed_rows = (states ->> 'unattributed')::bigint,
  total_only_rows = (states ->> 'total_only')::bigint,
  unmetered_rows = (states ->> 'unmetered')::bigint,
  refused_rows = (states ->> 'refused')::bigint,
  kept = coalesce((
    select pg_catalog.jsonb_object_agg(unit.key, unit.value - array['message_count', 'total_tokens']
      || pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'messages', unit.value -> 'message_count', 'tokens', unit.value -> 'total_tokens')))
    from pg_catalog.jsonb_each(kept_by_measure) unit
  ), '{}');
alter table usage.rollup_ledger force row level security;
alter table usage.rollup_ledger drop column states, drop column kept_by_measure;
comment on column usage.rollup_ledger.kept_rows is
  'In a sealed period read from raw rows: messages that are stored and that the source no longer has.';
comment on column usage.rollup_ledger.kept is
  'The same by user: what each keeps of messages and tokens beyond the source (below it, if negative).';

drop function usage_private.without_shared_ids(jsonb, jsonb, text[]);

create or replace function usage_private.now() returns timestamptz
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $$
-- The one clock: the database's, or the instant in a table that only test databases have.
declare
  instant timestamptz;
begin
  if pg_catalog.to_regclass('usage_private.test_clock') is not null then
    execute 'select clock.instant from usage_private.test_clock clock' into instant;
  end if;
  return coalesce(instant, pg_catalog.clock_timestamp());
end
$$;
