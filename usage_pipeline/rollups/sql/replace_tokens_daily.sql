-- replace_tokens_daily: makes the stored rows of one day equal the source; one row says what was written.
-- Binds: window_start, window_end (the day), covered_until (where reading stops).
-- Only differences are written: running it twice changes nothing. The source's own count comes from a second call of
-- its function, hour by hour: a rollup that loses rows cannot agree with itself, and no JSON is read for it.
with computed as materialized (
  select *
  from usage_private.tokens_of_window(
    cast(:window_start as timestamptz), cast(:covered_until as timestamptz), null::uuid)
),
vanished as (
  delete from usage.user_token_usage stored
  where stored.period_type = 'daily'
    and stored.period_start >= cast(:window_start as timestamptz)
    and stored.period_start < cast(:window_end as timestamptz)
    and not exists (select from computed where computed.user_id = stored.user_id)
  returning 1
),
moved as (
  update usage.user_token_usage stored
  set
    total_prompt_tokens = computed.total_prompt_tokens,
    total_completion_tokens = computed.total_completion_tokens,
    total_tokens = computed.total_tokens,
    message_count = computed.message_count,
    unmetered_message_count = computed.unmetered_message_count,
    refused_message_count = computed.refused_message_count,
    conversation_count = pg_catalog.cardinality(computed.conversation_ids),
    agent_ids = computed.agent_ids,
    conversation_ids = computed.conversation_ids,
    last_activity = computed.last_activity,
    updated_at = pg_catalog.now()
  from computed
  where stored.period_type = 'daily'
    and stored.period_start >= cast(:window_start as timestamptz)
    and stored.period_start < cast(:window_end as timestamptz)
    and stored.user_id = computed.user_id
    and (
      stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens, stored.message_count,
      stored.unmetered_message_count, stored.refused_message_count, stored.agent_ids, stored.conversation_ids,
      stored.last_activity
    ) is distinct from (
      computed.total_prompt_tokens, computed.total_completion_tokens, computed.total_tokens, computed.message_count,
      computed.unmetered_message_count, computed.refused_message_count, computed.agent_ids,
      computed.conversation_ids, computed.last_activity
    )
  returning 1
),
added as (
  insert into usage.user_token_usage (
    period_type, period_start, period_end, user_id, total_prompt_tokens, total_completion_tokens, total_tokens,
    message_count, unmetered_message_count, refused_message_count, conversation_count, agent_ids,
    conversation_ids, last_activity
  )
  select
    'daily', cast(:window_start as timestamptz), cast(:window_end as timestamptz), computed.user_id,
    computed.total_prompt_tokens, computed.total_completion_tokens, computed.total_tokens,
    computed.message_count, computed.unmetered_message_count, computed.refused_message_count,
    pg_catalog.cardinality(computed.conversation_ids), computed.agent_ids, computed.conversation_ids,
    computed.last_activity
  from computed
  where not exists (
    select
    from usage.user_token_usage stored
    where stored.period_type = 'daily'
      and stored.period_start >= cast(:window_start as timestamptz)
      and stored.period_start < cast(:window_end as timestamptz)
      and stored.user_id = computed.user_id
  )
  order by computed.user_id
  returning 1
),
hours as (
  select
    pg_catalog.date_bin('1 hour', event.occurred_at, cast(:window_start as timestamptz)) as hour_start,
    pg_catalog.count(*) as source_rows
  from usage.token_events(cast(:window_start as timestamptz), cast(:covered_until as timestamptz)) event
  group by 1
)
select
  (select pg_catalog.count(*) from added) as inserted,
  (select pg_catalog.count(*) from moved) as updated,
  (select pg_catalog.count(*) from vanished) as deleted,
  (select coalesce(pg_catalog.sum(hours.source_rows), 0)::bigint from hours) as source_rows,
  array(
    select coalesce(hours.source_rows, 0)
    from pg_catalog.generate_series(
      cast(:window_start as timestamptz), cast(:window_end as timestamptz) - interval '1 hour', interval '1 hour'
    ) hour (starts)
    left join hours on hours.hour_start = hour.starts
    order by hour.starts
  ) as hourly_rows,
  coalesce(pg_catalog.sum(computed.message_count), 0)::bigint as message_count,
  coalesce(pg_catalog.sum(computed.message_count) filter (
    where computed.user_id = '00000000-0000-0000-0000-000000000000'), 0)::bigint as unattributed_rows,
  coalesce(pg_catalog.sum(computed.total_only_message_count), 0)::bigint as total_only_rows,
  coalesce(pg_catalog.sum(computed.unmetered_message_count), 0)::bigint as unmetered_rows,
  coalesce(pg_catalog.sum(computed.refused_message_count), 0)::bigint as refused_rows
from computed
