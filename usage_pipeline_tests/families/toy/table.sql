-- The toy's source, its contract, its table and its guards.
create table public.toy_calls (
  id bigint primary key, called_at timestamptz not null, agent text, channel text not null, is_ok boolean not null,
  ms bigint, cost numeric, person_id uuid, region text
);
grant select on public.toy_calls to usage_writer, usage_reader;

create function usage.toy_events(window_start timestamptz, window_end timestamptz)
returns table (
  occurred_at timestamptz, agent text, channel text, is_ok boolean, ms bigint, cost numeric, person_id uuid, region text
)
language sql stable parallel safe
as $$
  select call.called_at, call.agent, call.channel, call.is_ok, call.ms, call.cost, call.person_id, call.region
  from public.toy_calls call
  where call.called_at >= window_start and call.called_at < window_end
$$;
grant execute on function usage.toy_events(timestamptz, timestamptz) to usage_writer, usage_reader;

create table usage.toy_usage (
  grain text not null, period_start timestamptz not null, agent text not null, channel text not null,
  period_end timestamptz not null,
  calls bigint not null, failed bigint not null, cost numeric(20, 6), fastest_ms bigint, slowest_ms bigint,
  ms_sum bigint not null, people bigint not null, person_ids uuid[], regions text[] not null,
  bucket_ids smallint[] not null, bucket_counts bigint[] not null,
  average_ms numeric generated always as (ms_sum::numeric / nullif(calls, 0)) stored,
  updated_at timestamptz not null default now(),
  primary key (grain, period_start, agent, channel)
);
grant select, insert, update, delete on usage.toy_usage to usage_writer;
grant select on usage.toy_usage to usage_reader;
create trigger guard_inserted after insert on usage.toy_usage referencing new table as changed
  for each statement execute function usage_private.guard_sealed_rows('toy', 'grain', 'agent', 'channel');
create trigger guard_deleted after delete on usage.toy_usage referencing old table as changed
  for each statement execute function usage_private.guard_sealed_rows('toy', 'grain', 'agent', 'channel');
create trigger guard_updated_from after update on usage.toy_usage referencing old table as changed
  for each statement execute function usage_private.guard_sealed_rows('toy', 'grain', 'agent', 'channel');
create trigger guard_updated_to after update on usage.toy_usage referencing new table as changed
  for each statement execute function usage_private.guard_sealed_rows('toy', 'grain', 'agent', 'channel');
insert into usage.rollup_policy (family, first_day, grace_days) values ('toy', '2026-01-01', 7);
