-- Takes the seal away: its guards, its records, and what the ledger learned with it. Sealed periods are open again.
drop trigger guard_seal on usage.rollup_ledger;
drop trigger guard_truncated on usage.user_token_usage;
drop trigger guard_updated_to on usage.user_token_usage;
drop trigger guard_updated_from on usage.user_token_usage;
drop trigger guard_deleted on usage.user_token_usage;
drop trigger guard_inserted on usage.user_token_usage;
drop function usage_private.guard_seal();
drop function usage_private.guard_sealed_table();
drop function usage_private.guard_sealed_rows();
drop policy only_what_was_made_to_be_locked on usage.rollup_ledger;
revoke delete on usage.rollup_ledger from usage_writer;
alter table usage.backfills drop column period_count;
alter table usage.rollup_ledger drop column kept, drop column kept_rows, drop column below;
revoke execute on function usage_private.partition_name(text, timestamptz) from usage_writer, usage_reader;
drop table usage.restatements;
drop table usage.source_horizon;
drop table usage.rollup_policy;

create or replace function usage_private.adopt_functions(names text[], mark text) returns void
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
