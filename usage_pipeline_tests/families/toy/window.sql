-- toy_of_window: one row per hour, agent and channel of the calls in [window_start, window_end), and one per hour and
-- agent for all its channels.

create or replace function usage_private.toy_of_window(
  window_start timestamptz, window_end timestamptz, only_agent text
)
returns table (
  period_start timestamptz, agent text, channel text, calls bigint, failed bigint, cost numeric, fastest_ms bigint,
  slowest_ms bigint, ms_sum bigint, person_ids uuid[], regions text[], bucket_ids smallint[], bucket_counts bigint[],
  untimed bigint
)
language sql stable parallel safe
as $$
  with call as (
    select
      date_trunc('hour', event.occurred_at, 'UTC') as hour, coalesce(event.agent, 'nobody') as agent, part.channel,
      event.is_ok, event.ms, event.cost, event.person_id, event.region
    from usage.toy_events(toy_of_window.window_start, toy_of_window.window_end) event
    cross join lateral (values (''), (event.channel)) part (channel)
    where toy_of_window.only_agent is null or coalesce(event.agent, 'nobody') = toy_of_window.only_agent
  ),
  bucket as (
    select
      counted.hour, counted.agent, counted.channel, array_agg(counted.bucket order by counted.bucket) as ids,
      array_agg(counted.calls order by counted.bucket) as counts
    from (
      select call.hour, call.agent, call.channel, (call.ms / 10)::smallint as bucket, count(*) as calls
      from call
      where call.ms is not null
      group by call.hour, call.agent, call.channel, call.ms / 10
    ) counted
    group by counted.hour, counted.agent, counted.channel
  )
  select
    call.hour, call.agent, call.channel, count(*), count(*) filter (where not call.is_ok), sum(call.cost),
    min(call.ms), max(call.ms), coalesce(sum(call.ms), 0)::bigint,
    coalesce(array_agg(distinct call.person_id) filter (where call.person_id is not null), '{}'),
    coalesce(array_agg(distinct call.region) filter (where call.region is not null), '{}'),
    coalesce(bucket.ids, '{}'), coalesce(bucket.counts, '{}'), count(*) filter (where call.ms is null)
  from call
  left join bucket using (hour, agent, channel)
  group by call.hour, call.agent, call.channel, bucket.ids, bucket.counts
$$;
