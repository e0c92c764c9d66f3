-- replace_tokens: makes the stored rows of one period equal what they are computed from; one row says what was written.
-- Only differences are written: running it twice changes nothing. Read from raw rows, the source's own count comes
-- from a second call of its function, hour by hour: a rollup that loses rows cannot agree with itself, and no JSON is
-- read for it.
-- is_raw: from the source up to covered_until, else from the periods below that are named; only_user: nobody else is
-- read; written_user: nobody else is written; is_recorded: what changes is recorded in restatements; keeps: a user
-- whose source holds fewer messages, conversations or tokens stays as stored.

create or replace function usage_private.replace_tokens(
  p_rollup text, window_start timestamptz, window_end timestamptz, covered_until timestamptz, is_raw boolean,
  period_starts timestamptz[], only_user uuid, written_user uuid, is_recorded boolean, keeps boolean,
  p_reason text, p_run_id text
)
returns table (
  inserted bigint, updated bigint, deleted bigint, source_rows bigint, hourly_rows bigint[], message_count bigint,
  unattributed_rows bigint, total_only_rows bigint, unmetered_rows bigint, refused_rows bigint,
  kept_rows bigint, kept jsonb
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
set work_mem = '64MB' -- the rows of a month of many users, sorted and grouped without a file
set enable_nestloop = on set jit = off -- a loop that cannot be avoided looks dear enough to be compiled
as $$
#variable_conflict use_column
declare
  step record;
  below record;
  period_name text;
begin
  select ladder.* into strict step from usage_private.ladder() ladder where ladder.rollup = p_rollup;
  select ladder.* into below from usage_private.ladder() ladder where ladder.rollup = step.below;
  period_name := step.stored_as || extract(epoch from replace_tokens.window_start);
  -- Of rows that were stored a moment ago the planner knows nothing: it guesses one, and would go through all users
  -- again for each of them. The function's own settings end this with the function.
  perform pg_catalog.set_config('enable_nestloop', 'off', true);
  -- `(select is_raw)`: what the planner sees to be empty it leaves as it is, and then we are asked for a right on each
  -- table that the application's own policies look at, which a policy of ours beside them otherwise spares us.
  return query
  with computed as materialized (
    select
      raw.user_id, raw.total_prompt_tokens, raw.total_completion_tokens, raw.total_tokens, raw.message_count,
      raw.total_only_message_count, raw.unmetered_message_count, raw.refused_message_count,
      pg_catalog.cardinality(raw.conversation_ids)::bigint as conversation_count, raw.agent_ids,
      case when step.keeps_ids then raw.conversation_ids end as conversation_ids, raw.last_activity
    from usage_private.tokens_of_window(
      replace_tokens.window_start, replace_tokens.covered_until, replace_tokens.only_user) raw
    where (select replace_tokens.is_raw)
    union all
    select
      sum.user_id, sum.total_prompt_tokens, sum.total_completion_tokens, sum.total_tokens, sum.message_count,
      0::bigint, sum.unmetered_message_count, sum.refused_message_count,
      sum.conversation_count, sum.agent_ids, sum.conversation_ids, sum.last_activity
    from usage_private.tokens_of_periods(
      below.stored_as, replace_tokens.window_start, replace_tokens.window_end, replace_tokens.period_starts,
      step.keeps_ids) sum
    where not replace_tokens.is_raw
  ),
  before as materialized (
    select stored.*
    from usage.user_token_usage stored
    where replace_tokens.is_recorded
      and stored.period_type = step.stored_as
      and stored.period_start >= replace_tokens.window_start
      and stored.period_start < replace_tokens.window_end
  ),
  vanished as (
    delete from usage.user_token_usage stored
    where stored.period_type = step.stored_as
      and stored.period_start >= replace_tokens.window_start
      and stored.period_start < replace_tokens.window_end
      and not replace_tokens.keeps
      and (replace_tokens.written_user is null or stored.user_id = replace_tokens.written_user)
      and not exists (select from computed where computed.user_id = stored.user_id)
    returning stored.user_id
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
      conversation_count = computed.conversation_count,
      agent_ids = computed.agent_ids,
      conversation_ids = computed.conversation_ids,
      last_activity = computed.last_activity,
      updated_at = pg_catalog.now()
    from computed
    where stored.period_type = step.stored_as
      and stored.period_start >= replace_tokens.window_start
      and stored.period_start < replace_tokens.window_end
      and stored.user_id = computed.user_id
      and (replace_tokens.written_user is null or stored.user_id = replace_tokens.written_user)
      and (
        not replace_tokens.keeps
        or computed.message_count >= stored.message_count
          and computed.conversation_count >= stored.conversation_count
          and computed.total_tokens >= stored.total_tokens
      )
      and (
        stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens, stored.message_count,
        stored.unmetered_message_count, stored.refused_message_count, stored.conversation_count, stored.agent_ids,
        stored.conversation_ids, stored.last_activity
      ) is distinct from (
        computed.total_prompt_tokens, computed.total_completion_tokens, computed.total_tokens,
        computed.message_count, computed.unmetered_message_count, computed.refused_message_count,
        computed.conversation_count, computed.agent_ids, computed.conversation_ids, computed.last_activity
      )
    returning stored.user_id
  ),
  added as (
    insert into usage.user_token_usage (
      period_type, period_start, period_end, user_id, total_prompt_tokens, total_completion_tokens, total_tokens,
      message_count, unmetered_message_count, refused_message_count, conversation_count, agent_ids,
      conversation_ids, last_activity, id
    )
    select
      step.stored_as, replace_tokens.window_start, replace_tokens.window_end, computed.user_id,
      computed.total_prompt_tokens, computed.total_completion_tokens, computed.total_tokens,
      computed.message_count, computed.unmetered_message_count, computed.refused_message_count,
      computed.conversation_count, computed.agent_ids, computed.conversation_ids, computed.last_activity,
      -- of the key: the same row has the same id, and a random one costs as much as the rest of the row
      pg_catalog.md5(period_name || computed.user_id)::uuid
    from computed
    where (replace_tokens.written_user is null or computed.user_id = replace_tokens.written_user)
      and not exists (
        select
        from usage.user_token_usage stored
        where stored.period_type = step.stored_as
          and stored.period_start >= replace_tokens.window_start
          and stored.period_start < replace_tokens.window_end
          and stored.user_id = computed.user_id
      )
    order by computed.user_id
    returning user_token_usage.user_id
  ),
  changed as (
    select vanished.user_id from vanished
    union all
    select moved.user_id from moved
    union all
    select added.user_id from added
  ),
  restated as (
    insert into usage.restatements (rollup, period_start, key, before, after, reason, run_id, restated_at)
    select
      p_rollup, replace_tokens.window_start, pg_catalog.jsonb_build_object('user_id', changed.user_id),
      usage_private.without_shared_ids(was.line, since.line, array['agent_ids', 'conversation_ids']),
      usage_private.without_shared_ids(since.line, was.line, array['agent_ids', 'conversation_ids']),
      p_reason, p_run_id, usage_private.now()
    from changed
    left join before on before.user_id = changed.user_id
    left join computed on computed.user_id = changed.user_id
    cross join lateral (
      select pg_catalog.to_jsonb(before) - array[
        'period_type', 'period_start', 'period_end', 'user_id', 'id', 'created_at', 'updated_at']
    ) was (line)
    cross join lateral (
      select pg_catalog.to_jsonb(computed) - array['user_id', 'total_only_message_count']
    ) since (line)
    where replace_tokens.is_recorded
    order by changed.user_id
  ),
  kept_users as (
    select
      coalesce(before.user_id, computed.user_id) as user_id,
      coalesce(before.message_count, 0) - coalesce(computed.message_count, 0) as message_count,
      coalesce(before.conversation_count, 0) - coalesce(computed.conversation_count, 0) as conversation_count,
      coalesce(before.total_tokens, 0) - coalesce(computed.total_tokens, 0) as total_tokens
    from before
    full join computed on computed.user_id = before.user_id
    where replace_tokens.is_raw and replace_tokens.is_recorded
      and coalesce(before.user_id, computed.user_id) not in (select changed.user_id from changed)
      and (
        before.total_tokens, before.message_count, before.conversation_count, before.unmetered_message_count,
        before.refused_message_count
      ) is distinct from (
        computed.total_tokens, computed.message_count, computed.conversation_count, computed.unmetered_message_count,
        computed.refused_message_count
      )
  ),
  hours as (
    select
      pg_catalog.date_bin('1 hour', event.occurred_at, replace_tokens.window_start) as hour_start,
      pg_catalog.count(*) as source_rows
    from usage.token_events(replace_tokens.window_start, replace_tokens.covered_until) event
    where (select replace_tokens.is_raw)
    group by 1
  ),
  standing as (
    select coalesce(pg_catalog.sum(stored.message_count), 0)::bigint as message_count
    from usage.user_token_usage stored
    where not replace_tokens.is_raw
      and stored.period_type = below.stored_as
      and stored.period_start >= replace_tokens.window_start
      and stored.period_start < replace_tokens.window_end
      and stored.period_start = any (replace_tokens.period_starts)
  )
  select
    (select pg_catalog.count(*) from added),
    (select pg_catalog.count(*) from moved),
    (select pg_catalog.count(*) from vanished),
    case when replace_tokens.is_raw
      then (select coalesce(pg_catalog.sum(hours.source_rows), 0)::bigint from hours)
      else (select standing.message_count from standing)
    end,
    case when step.run_unit = 'day' then array(
      select coalesce(hours.source_rows, 0)
      from pg_catalog.generate_series(
        replace_tokens.window_start, replace_tokens.window_end - interval '1 hour', interval '1 hour'
      ) hour (starts)
      left join hours on hours.hour_start = hour.starts
      order by hour.starts
    ) end,
    coalesce(pg_catalog.sum(computed.message_count), 0)::bigint,
    coalesce(pg_catalog.sum(computed.message_count) filter (
      where computed.user_id = '00000000-0000-0000-0000-000000000000'), 0)::bigint,
    coalesce(pg_catalog.sum(computed.total_only_message_count), 0)::bigint,
    coalesce(pg_catalog.sum(computed.unmetered_message_count), 0)::bigint,
    coalesce(pg_catalog.sum(computed.refused_message_count), 0)::bigint,
    (select coalesce(pg_catalog.sum(kept_users.message_count), 0)::bigint from kept_users),
    (
      select coalesce(pg_catalog.jsonb_object_agg(
        kept_users.user_id, pg_catalog.jsonb_build_object(
          'message_count', kept_users.message_count, 'conversation_count', kept_users.conversation_count,
          'total_tokens', kept_users.total_tokens)), '{}')
      from kept_users
    )
  from computed;
end
$$;
