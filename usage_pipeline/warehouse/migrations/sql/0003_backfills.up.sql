-- Backfills: which range was asked for, by which runs, and how it ended. Progress is read from the ledger, whose
-- rows name the run that wrote them; the ledger also learns what a period cost and when in it its rows came.
create table usage.backfills (
  id integer generated always as identity primary key,
  assets text[] not null check (pg_catalog.cardinality(assets) > 0),
  first_date date not null,
  last_date date not null,
  code_version text not null,
  root_run_id text not null,
  run_ids text[] not null check (pg_catalog.cardinality(run_ids) > 0),
  started_at timestamptz not null,
  ended_at timestamptz,
  lock_key bigint not null,
  state text not null default 'running' check (state in ('running', 'done', 'failed')),
  check (first_date <= last_date),
  check (run_ids[1] = root_run_id),
  check ((state = 'running') = (ended_at is null))
);

comment on table usage.backfills is
  'One row per range that was asked for: its assets, its days (both inclusive), its runs, and how it ended.';
comment on column usage.backfills.run_ids is
  'The first run and those that went on after it: a ledger row that names one of them is finished.';
comment on column usage.backfills.lock_key is
  'The advisory lock that whoever works on it holds: drawn anew each time, so that no stranger can take it before.';
comment on column usage.backfills.state is
  'running, done or failed; a running one whose advisory lock nobody holds was interrupted.';

alter table usage.backfills enable row level security;
alter table usage.backfills force row level security;
revoke all on usage.backfills from public;
grant select, insert, update on usage.backfills to usage_writer;
grant select on usage.backfills to usage_reader, usage_retention;
create policy writer_writes on usage.backfills to usage_writer using (true) with check (true);
create policy reader_reads on usage.backfills for select to usage_reader, usage_retention using (true);

alter table usage.rollup_ledger
  add column hourly_rows bigint[] check (pg_catalog.cardinality(hourly_rows) = 24),
  add column duration_ms bigint check (duration_ms >= 0);

comment on column usage.rollup_ledger.hourly_rows is
  'Of a day: its source rows by the hour of their instant, UTC; they add up to source_rows.';
comment on column usage.rollup_ledger.duration_ms is 'What the last run of the period took, from its lock to its record.';
