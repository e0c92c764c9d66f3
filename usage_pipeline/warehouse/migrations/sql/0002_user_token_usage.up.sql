-- Tokens of each user and period. Partitioned by period type, then daily by month, the others by year;
-- partitions stand in usage_parts, where nobody but the owner has a right.
create table usage.user_token_usage (
  period_type text not null check (period_type in ('daily', 'weekly', 'monthly', 'yearly')),
  period_start timestamptz not null,
  user_id uuid not null,
  period_end timestamptz not null,
  total_prompt_tokens bigint not null default 0 check (total_prompt_tokens >= 0),
  total_completion_tokens bigint not null default 0 check (total_completion_tokens >= 0),
  total_tokens bigint not null default 0 check (total_tokens >= 0),
  message_count bigint not null default 0 check (message_count >= 0),
  unmetered_message_count bigint not null default 0 check (unmetered_message_count >= 0),
  refused_message_count bigint not null default 0 check (refused_message_count >= 0),
  conversation_count bigint not null default 0 check (conversation_count >= 0),
  agent_ids uuid[] not null default '{}',
  conversation_ids uuid[],
  last_activity timestamptz,
  id uuid not null default pg_catalog.gen_random_uuid(),
  created_at timestamptz not null default pg_catalog.now(),
  updated_at timestamptz not null default pg_catalog.now(),
  primary key (period_type, period_start, user_id),
  check (period_start < period_end),
  check (unmetered_message_count + refused_message_count <= message_count)
) partition by list (period_type);

create index on usage.user_token_usage (user_id, period_type, period_start desc);
create index on usage.user_token_usage (period_start desc);

create table usage_parts.user_token_usage_daily partition of usage.user_token_usage
  for values in ('daily') partition by range (period_start);
create table usage_parts.user_token_usage_weekly partition of usage.user_token_usage
  for values in ('weekly') partition by range (period_start);
create table usage_parts.user_token_usage_monthly partition of usage.user_token_usage
  for values in ('monthly') partition by range (period_start);
create table usage_parts.user_token_usage_yearly partition of usage.user_token_usage
  for values in ('yearly') partition by range (period_start);

create index on usage_parts.user_token_usage_daily (updated_at desc);

comment on table usage.user_token_usage is
  'Tokens, messages and conversations of each user and period; the nil UUID holds what belongs to nobody known.';
comment on column usage.user_token_usage.period_type is 'daily, weekly (ISO, from Monday), monthly or yearly; UTC.';
comment on column usage.user_token_usage.period_start is 'First instant of the period.';
comment on column usage.user_token_usage.user_id is
  'Who the tokens belong to: the sender, else the owner of the conversation; the nil UUID if neither is known.';
comment on column usage.user_token_usage.period_end is 'First instant after the period.';
comment on column usage.user_token_usage.total_prompt_tokens is 'Tokens sent to the model, where reported.';
comment on column usage.user_token_usage.total_completion_tokens is 'Tokens the model answered with, where reported.';
comment on column usage.user_token_usage.total_tokens is
  'All tokens; at times more than prompt + completion, because some answers report only a total.';
comment on column usage.user_token_usage.message_count is 'Answers of the model, unmetered and refused ones included.';
comment on column usage.user_token_usage.unmetered_message_count is 'Part of message_count: answers that report no tokens.';
comment on column usage.user_token_usage.refused_message_count is
  'Part of message_count: answers whose token values make no sense; they count with 0 tokens.';
comment on column usage.user_token_usage.conversation_count is 'Distinct conversations.';
comment on column usage.user_token_usage.agent_ids is 'Distinct agents that answered, sorted.';
comment on column usage.user_token_usage.conversation_ids is
  'Distinct conversations, sorted; on daily and monthly rows, from which coarser counts are made.';
comment on column usage.user_token_usage.last_activity is 'When the last of these answers was written.';
comment on column usage.user_token_usage.id is 'A name for the row; the key is (period_type, period_start, user_id).';
comment on column usage.user_token_usage.created_at is 'When the row was first stored.';
comment on column usage.user_token_usage.updated_at is 'When a value of the row last changed.';

revoke all on usage.user_token_usage from public;
grant select, insert, update, delete on usage.user_token_usage to usage_writer;
grant select on usage.user_token_usage to usage_reader;

do $$
declare
  name text;
begin
  foreach name in array array[
    'usage.user_token_usage', 'usage_parts.user_token_usage_daily', 'usage_parts.user_token_usage_weekly',
    'usage_parts.user_token_usage_monthly', 'usage_parts.user_token_usage_yearly'
  ] loop
    execute pg_catalog.format('alter table %s enable row level security', name);
    execute pg_catalog.format('alter table %s force row level security', name);
    execute pg_catalog.format('revoke all on %s from public', name);
  end loop;
end
$$;
create policy writer_writes on usage.user_token_usage to usage_writer using (true) with check (true);
create policy reader_reads on usage.user_token_usage for select to usage_reader using (true);

create function usage_private.ensure_partitions(period_type text, first timestamptz, until timestamptz)
returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' set timezone = 'UTC'
as $$
-- Creates the partitions that the window [first, until) needs and returns how many were missing.
-- Looks, locks the parent, looks again; attaching takes a weaker lock than `partition of`.
-- The search path names pg_temp last: left out, it would come first, and a caller's type stand in for ours.
declare
  parent text := 'user_token_usage_' || period_type;
  step interval := case period_type when 'daily' then interval '1 month' else interval '1 year' end;
  unit text := case period_type when 'daily' then 'month' else 'year' end;
  starts timestamptz[];
  part_start timestamptz;
  part text;
  made integer := 0;
begin
  if period_type is null or period_type not in ('daily', 'weekly', 'monthly', 'yearly') then
    raise exception 'there is no period type %', period_type using errcode = '22023';
  end if;
  if first is null or until is null or first >= until
    or first < '1999-01-01' or until > usage_private.now() + interval '2 years' then
    raise exception 'no partitions are made for % to %', first, until using errcode = '22023';
  end if;
  select array_agg(start order by start) into starts
  from pg_catalog.generate_series(pg_catalog.date_trunc(unit, first), until - interval '1 microsecond', step) start
  where pg_catalog.to_regclass(pg_catalog.format('usage_parts.%I', usage_private.partition_name(period_type, start))) is null;
  if starts is null then
    return 0;
  end if;
  execute pg_catalog.format('lock table only usage_parts.%I in share update exclusive mode', parent);
  foreach part_start in array starts loop
    part := usage_private.partition_name(period_type, part_start);
    if pg_catalog.to_regclass(pg_catalog.format('usage_parts.%I', part)) is null then
      execute pg_catalog.format('create table usage_parts.%I (like usage_parts.%I including all)', part, parent);
      execute pg_catalog.format('alter table usage_parts.%I enable row level security', part);
      execute pg_catalog.format('alter table usage_parts.%I force row level security', part);
      execute pg_catalog.format('revoke all on usage_parts.%I from public', part);
      execute pg_catalog.format(
        'alter table usage_parts.%I attach partition usage_parts.%I for values from (%L) to (%L)',
        parent, part, part_start, part_start + step);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;

create function usage_private.partition_name(period_type text, part_start timestamptz)
returns text
language sql immutable parallel safe
as $$
  select 'user_token_usage_' || period_type || '_' || case period_type
    when 'daily' then pg_catalog.to_char(part_start at time zone 'UTC', 'YYYY_MM')
    else pg_catalog.to_char(part_start at time zone 'UTC', 'YYYY') end
$$;

revoke all on function usage_private.ensure_partitions(text, timestamptz, timestamptz) from public;
revoke all on function usage_private.partition_name(text, timestamptz) from public;
grant execute on function usage_private.ensure_partitions(text, timestamptz, timestamptz) to usage_writer;
