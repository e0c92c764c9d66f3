-- tokens_of_periods: one row per user of the stored rows of these periods; what stands below, added up. Conversations
-- and agents are distinct: they are counted from their ids, never added.

create or replace function usage_private.tokens_of_periods(
  period_type text, window_start timestamptz, window_end timestamptz, period_starts timestamptz[],
  keeps_conversations boolean
)
returns table (
  user_id uuid, total_prompt_tokens bigint, total_completion_tokens bigint, total_tokens bigint,
  message_count bigint, unmetered_message_count bigint, refused_message_count bigint, conversation_count bigint,
  agent_ids uuid[], conversation_ids uuid[], last_activity timestamptz
)
language sql stable parallel safe
as $$
  -- A row is unnested in the select list, its conversations beside its agents: one sort for all, and no store of its
  -- own for each row. Its numbers stand on each of its lines, so only the first one adds them.
  select
    part.user_id,
    (pg_catalog.sum(part.total_prompt_tokens) filter (where part.is_first))::bigint,
    (pg_catalog.sum(part.total_completion_tokens) filter (where part.is_first))::bigint,
    (pg_catalog.sum(part.total_tokens) filter (where part.is_first))::bigint,
    (pg_catalog.sum(part.message_count) filter (where part.is_first))::bigint,
    (pg_catalog.sum(part.unmetered_message_count) filter (where part.is_first))::bigint,
    (pg_catalog.sum(part.refused_message_count) filter (where part.is_first))::bigint,
    pg_catalog.count(distinct part.conversation_id),
    coalesce(pg_catalog.array_agg(distinct part.agent_id) filter (where part.agent_id is not null), '{}'),
    case when tokens_of_periods.keeps_conversations then coalesce(
      pg_catalog.array_agg(distinct part.conversation_id) filter (where part.conversation_id is not null), '{}') end,
    pg_catalog.max(part.last_activity)
  from (
    select
      stored.user_id, stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens,
      stored.message_count, stored.unmetered_message_count, stored.refused_message_count, stored.last_activity,
      pg_catalog.unnest(array[true]) as is_first,
      pg_catalog.unnest(stored.conversation_ids) as conversation_id,
      pg_catalog.unnest(stored.agent_ids) as agent_id
    from usage.user_token_usage stored
    where stored.period_type = tokens_of_periods.period_type
      and stored.period_start >= tokens_of_periods.window_start
      and stored.period_start < tokens_of_periods.window_end
      and stored.period_start = any (tokens_of_periods.period_starts)
  ) part
  group by part.user_id
$$;
