-- The seal: what a period was built from, what was kept, what was restated; and the database's own guard over it.
create table usage.rollup_policy (
  family text primary key,
  first_day date not null,
  grace_days integer not null check (grace_days >= 1)
);
comment on table usage.rollup_policy is
  'One row per family of rollups, written from the stack''s settings: its first partition and its grace.';
comment on column usage.rollup_policy.first_day is 'Days before it count as computed and empty.';
comment on column usage.rollup_policy.grace_days is
  'So many days after its end the next run of a period seals it.';

create table usage.source_horizon (
  family text primary key,
  begins_at timestamptz not null,
  declared_at timestamptz not null default pg_catalog.now()
);
comment on table usage.source_horizon is
  'Where raw history begins, declared by whoever purges raw rows: no row, nothing was purged.';
comment on column usage.source_horizon.begins_at is
  'A period that begins before it is never read from raw rows again.';

create table usage.restatements (
  id bigint generated always as identity primary key,
  rollup text not null,
  period_start timestamptz not null,
  user_id uuid not null,
  before jsonb,
  after jsonb,
  reason text not null check (reason <> ''),
  run_id text,
  restated_at timestamptz not null,
  transaction_id xid8 not null default pg_catalog.pg_current_xact_id(),
  check (before is not null or after is not null)
);
create index on usage.restatements (rollup, period_start, user_id, transaction_id);
comment on table usage.restatements is 'Every change of a row of a sealed period: before, after and why.';
comment on column usage.restatements.before is 'The row''s numbers as they were; NULL: there was none.';
comment on column usage.restatements.after is 'The row''s numbers as they are since; NULL: it is gone.';
comment on column usage.restatements.transaction_id is 'The change passes the seal in this transaction alone.';

alter table usage.rollup_ledger
  add column below jsonb not null default '{}' check (pg_catalog.jsonb_typeof(below) = 'object'),
  add column kept_rows bigint not null default 0,
  add column kept jsonb not null default '{}' check (pg_catalog.jsonb_typeof(kept) = 'object');
comment on column usage.rollup_ledger.below is
  'The periods below that stand, by their start, with the checksum each had when this one was computed.';
comment on column usage.rollup_ledger.kept_rows is
  'In a sealed period read from raw rows: messages that are stored and that the source no longer has.';
comment on column usage.rollup_ledger.kept is
  'The same by user: what each keeps of messages and tokens beyond the source (below it, if negative).';

alter table usage.backfills add column period_count bigint check (period_count > 0);
alter table usage.backfills no force row level security; -- forced, it would show its owner no row to fill
update usage.backfills set period_count = last_date - first_date + 1;
alter table usage.backfills force row level security;
alter table usage.backfills alter column period_count set not null;
comment on column usage.backfills.period_count is 'The periods of all its assets.';

do $$
declare
  name text;
begin
  foreach name in array array['usage.rollup_policy', 'usage.source_horizon', 'usage.restatements'] loop
    execute pg_catalog.format('alter table %s enable row level security', name);
    execute pg_catalog.format('alter table %s force row level security', name);
    execute pg_catalog.format('revoke all on %s from public', name);
    execute pg_catalog.format('create policy writer_writes on %s to usage_writer using (true) with check (true)', name);
    execute pg_catalog.format(
      'create policy reader_reads on %s for select to usage_reader, usage_retention using (true)', name);
    execute pg_catalog.format('grant select on %s to usage_writer, usage_reader, usage_retention', name);
  end loop;
end
$$;
grant execute on function usage_private.partition_name(text, timestamptz) to usage_writer, usage_reader;
grant insert, update on usage.rollup_policy, usage.source_horizon to usage_writer;
grant insert (rollup, period_start, user_id, before, after, reason, run_id, restated_at)
  on usage.restatements to usage_writer; -- not the transaction: nobody records a change for another one
grant delete on usage.rollup_ledger to usage_writer;
create policy only_what_was_made_to_be_locked on usage.rollup_ledger
  as restrictive for delete to usage_writer using (computed_at is null);

create function usage_private.guard_sealed_rows() returns trigger
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

create function usage_private.guard_sealed_table() returns trigger
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

create function usage_private.guard_seal() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- A seal is for ever: from it, a period can only be pruned; and its row of the ledger stays.
begin
  if tg_op = 'DELETE' or new.state not in ('sealed', 'pruned') or (old.state = 'pruned' and new.state <> 'pruned')
    or (new.rollup, new.period_start, new.period_end) <> (old.rollup, old.period_start, old.period_end) then
    raise exception '% of % is %', old.rollup,
      pg_catalog.to_char(old.period_start at time zone 'UTC', 'YYYY-MM-DD'), old.state
      using errcode = 'UP004', detail = 'a seal is not taken away';
  end if;
  return new;
end
$$;
revoke all on function usage_private.guard_sealed_rows() from public;
revoke all on function usage_private.guard_sealed_table() from public;
revoke all on function usage_private.guard_seal() from public;

create trigger guard_inserted after insert on usage.user_token_usage
  referencing new table as changed for each statement execute function usage_private.guard_sealed_rows();
create trigger guard_deleted after delete on usage.user_token_usage
  referencing old table as changed for each statement execute function usage_private.guard_sealed_rows();
create trigger guard_updated_from after update on usage.user_token_usage
  referencing old table as changed for each statement execute function usage_private.guard_sealed_rows();
create trigger guard_updated_to after update on usage.user_token_usage
  referencing new table as changed for each statement execute function usage_private.guard_sealed_rows();
create trigger guard_truncated before truncate on usage.user_token_usage
  for each statement execute function usage_private.guard_sealed_table();
create trigger guard_seal before update or delete on usage.rollup_ledger
  for each row when (old.state in ('sealed', 'pruned')) execute function usage_private.guard_seal();

create or replace function usage_private.adopt_functions(names text[], mark text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- Comments the functions of these names with the hash of their file and of their body; only our roles may execute
-- them, and those that write (volatile ones) the writer alone.
declare
  signature text;
  body text;
  writes boolean;
begin
  for signature, body, writes in
    select function.oid::pg_catalog.regprocedure::text, pg_catalog.md5(function.prosrc), function.provolatile = 'v'
    from pg_catalog.pg_proc function
    join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
    where namespace.nspname || '.' || function.proname = any (names)
  loop
    execute pg_catalog.format('comment on function %s is %L', signature, mark || ' ' || body);
    execute pg_catalog.format('revoke all on function %s from public', signature);
    execute pg_catalog.format('grant execute on function %s to usage_writer', signature);
    if not writes then
      execute pg_catalog.format('grant execute on function %s to usage_reader', signature);
    end if;
  end loop;
end
$$;
