-- The ledger: what every period was computed from, how far, and what stands stored. Kept for ever.
grant usage on schema usage to usage_writer, usage_reader, usage_retention;
grant usage on schema usage_private to usage_writer, usage_reader, usage_retention;
grant select on usage_private.schema_version to usage_writer, usage_reader, usage_retention;

create function usage_private.now() returns timestamptz
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
revoke all on function usage_private.now() from public;
grant execute on function usage_private.now() to usage_writer, usage_reader, usage_retention;

create function usage_private.drop_functions(names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- Drops the functions of these names, whatever their arguments, before their file makes them anew.
declare
  signature text;
begin
  for signature in
    select function.oid::pg_catalog.regprocedure::text
    from pg_catalog.pg_proc function
    join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
    where namespace.nspname || '.' || function.proname = any (names)
  loop
    execute 'drop function ' || signature;
  end loop;
end
$$;

create function usage_private.adopt_functions(names text[], mark text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
-- Comments the functions of these names with the hash of their file and of their body; only our roles may execute them.
declare
  signature text;
  body text;
begin
  for signature, body in
    select function.oid::pg_catalog.regprocedure::text, pg_catalog.md5(function.prosrc)
    from pg_catalog.pg_proc function
    join pg_catalog.pg_namespace namespace on namespace.oid = function.pronamespace
    where namespace.nspname || '.' || function.proname = any (names)
  loop
    execute pg_catalog.format('comment on function %s is %L', signature, mark || ' ' || body);
    execute pg_catalog.format('revoke all on function %s from public', signature);
    execute pg_catalog.format('grant execute on function %s to usage_writer, usage_reader', signature);
  end loop;
end
$$;
revoke all on function usage_private.drop_functions(text[]) from public;
revoke all on function usage_private.adopt_functions(text[], text) from public;

create table usage.rollup_ledger (
  rollup text not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  state text not null default 'open' check (state in ('partial', 'open', 'sealed', 'pruned')),
  covered_until timestamptz,
  source_rows bigint check (source_rows >= 0),
  unattributed_rows bigint check (unattributed_rows between 0 and source_rows),
  total_only_rows bigint check (total_only_rows >= 0),
  unmetered_rows bigint check (unmetered_rows >= 0),
  refused_rows bigint check (refused_rows >= 0),
  stored_rows bigint check (stored_rows >= 0),
  totals jsonb not null default '{}',
  checksum text,
  run_id text,
  code_version text,
  computed_at timestamptz,
  sealed_at timestamptz,
  pruned_at timestamptz,
  primary key (rollup, period_start),
  check (period_start < period_end),
  check (covered_until between period_start and period_end),
  check (total_only_rows + unmetered_rows + refused_rows <= source_rows)
);

comment on table usage.rollup_ledger is
  'One row per rollup (the asset''s name) and period: state, coverage, row counts, totals and checksum.';
comment on column usage.rollup_ledger.covered_until is
  'Below this instant the stored rows are the answer; above it only the raw rows know.';
comment on column usage.rollup_ledger.totals is 'The sums of the stored rows, by column.';
comment on column usage.rollup_ledger.checksum is
  'Of the stored rows, with the version of its rule in front; equal sets of rows have equal checksums.';

alter table usage.rollup_ledger enable row level security;
alter table usage.rollup_ledger force row level security;
revoke all on usage.rollup_ledger from public;
grant select, insert, update on usage.rollup_ledger to usage_writer;
grant select on usage.rollup_ledger to usage_reader, usage_retention;
create policy writer_writes on usage.rollup_ledger to usage_writer using (true) with check (true);
create policy reader_reads on usage.rollup_ledger for select to usage_reader, usage_retention using (true);
