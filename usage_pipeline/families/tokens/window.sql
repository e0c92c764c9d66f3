-- tokens_of_window: one row per user of the answers in [window_start, window_end); the rollup's statement.
-- First by conversation as written, without a join; then the owner of each small group is looked up by index.

create or replace function usage_private.tokens_of_window(
  window_start timestamptz, window_end timestamptz, only_user uuid
)
returns table (
  user_id uuid, total_prompt_tokens bigint, total_completion_tokens bigint, total_tokens bigint,
  message_count bigint, total_only_message_count bigint, unmetered_message_count bigint,
  refused_message_count bigint, agent_ids uuid[], conversation_ids uuid[], last_activity timestamptz
)
language sql stable parallel safe
as $$
  select
    owned.user_id,
    pg_catalog.sum(owned.prompt_tokens)::bigint,
    pg_catalog.sum(owned.completion_tokens)::bigint,
    pg_catalog.sum(owned.total_tokens)::bigint,
    pg_catalog.sum(owned.message_count)::bigint,
    pg_catalog.sum(owned.total_only_message_count)::bigint,
    pg_catalog.sum(owned.unmetered_message_count)::bigint,
    pg_catalog.sum(owned.refused_message_count)::bigint,
    coalesce(pg_catalog.array_agg(distinct owned.agent_id) filter (where owned.agent_id is not null), '{}'),
    coalesce(
      pg_catalog.array_agg(distinct owned.conversation_id) filter (where owned.conversation_id is not null), '{}'),
    pg_catalog.max(owned.last_activity)
  from (
    select
      coalesce(written.user_id, owner.user_id, '00000000-0000-0000-0000-000000000000') as user_id,
      coalesce(written.agent_id, owner.agent_id) as agent_id,
      written.conversation_id, written.prompt_tokens, written.completion_tokens, written.total_tokens,
      written.message_count, written.total_only_message_count, written.unmetered_message_count,
      written.refused_message_count, written.last_activity
    from (
      select
        event.conversation_id, event.user_id, event.agent_id,
        coalesce(pg_catalog.sum(event.prompt_tokens), 0)::bigint as prompt_tokens,
        coalesce(pg_catalog.sum(event.completion_tokens), 0)::bigint as completion_tokens,
        coalesce(pg_catalog.sum(event.total_tokens), 0)::bigint as total_tokens,
        pg_catalog.count(*) as message_count,
        pg_catalog.count(*) filter (where event.usage_state = 'total_only') as total_only_message_count,
        pg_catalog.count(*) filter (where event.usage_state = 'missing') as unmetered_message_count,
        pg_catalog.count(*) filter (where event.usage_state = 'refused') as refused_message_count,
        pg_catalog.max(event.occurred_at) as last_activity
      from usage.token_events(tokens_of_window.window_start, tokens_of_window.window_end) event
      group by event.conversation_id, event.user_id, event.agent_id
    ) written
    left join lateral usage.conversation_owner(
      case when written.user_id is null or written.agent_id is null then written.conversation_id end
    ) owner on true
  ) owned
  where tokens_of_window.only_user is null or owned.user_id = tokens_of_window.only_user
  group by owned.user_id
$$;
