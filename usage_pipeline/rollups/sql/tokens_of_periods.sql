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
  with below as materialized (
    select
      stored.user_id, stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens,
      stored.message_count, stored.unmetered_message_count, stored.refused_message_count, stored.agent_ids,
      stored.conversation_ids, stored.last_activity
    from usage.user_token_usage stored
    where stored.period_type = tokens_of_periods.period_type
      and stored.period_start >= tokens_of_periods.window_start
      and stored.period_start < tokens_of_periods.window_end
      and stored.period_start = any (tokens_of_periods.period_starts)
  ),
  -- unnested in the select list: in the from clause each row would fill a store of its own
  conversations as (
    select
      conversation.user_id,
      pg_catalog.count(distinct conversation.id) as conversation_count,
      case when tokens_of_periods.keeps_conversations then pg_catalog.array_agg(distinct conversation.id) end as ids
    from (select below.user_id, pg_catalog.unnest(below.conversation_ids) as id from below) conversation
    group by conversation.user_id
  ),
  agents as (
    select agent.user_id, pg_catalog.array_agg(distinct agent.id) as ids
    from (select below.user_id, pg_catalog.unnest(below.agent_ids) as id from below) agent
    group by agent.user_id
  ),
  summed as (
    select
      below.user_id,
      pg_catalog.sum(below.total_prompt_tokens)::bigint as total_prompt_tokens,
      pg_catalog.sum(below.total_completion_tokens)::bigint as total_completion_tokens,
      pg_catalog.sum(below.total_tokens)::bigint as total_tokens,
      pg_catalog.sum(below.message_count)::bigint as message_count,
      pg_catalog.sum(below.unmetered_message_count)::bigint as unmetered_message_count,
      pg_catalog.sum(below.refused_message_count)::bigint as refused_message_count,
      pg_catalog.max(below.last_activity) as last_activity
    from below
    group by below.user_id
  )
  select
    summed.user_id, summed.total_prompt_tokens, summed.total_completion_tokens, summed.total_tokens,
    summed.message_count, summed.unmetered_message_count, summed.refused_message_count,
    coalesce(conversations.conversation_count, 0),
    coalesce(agents.ids, '{}'),
    case when tokens_of_periods.keeps_conversations then coalesce(conversations.ids, '{}') end,
    summed.last_activity
  from summed
  left join conversations on conversations.user_id = summed.user_id
  left join agents on agents.user_id = summed.user_id
$$;
