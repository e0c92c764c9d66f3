-- stored_tokens: what stands stored for one period: rows, sums and a checksum that equal sets share.

create or replace function usage_private.stored_tokens(
  period_type text, window_start timestamptz, window_end timestamptz
)
returns table (
  stored_rows bigint, message_count bigint, unattributed_rows bigint, unmetered_rows bigint, refused_rows bigint,
  totals jsonb, checksum text
)
language sql stable parallel safe
as $$
  select
    pg_catalog.count(*),
    coalesce(pg_catalog.sum(stored.message_count), 0)::bigint,
    coalesce(pg_catalog.sum(stored.message_count) filter (
      where stored.user_id = '00000000-0000-0000-0000-000000000000'), 0)::bigint,
    coalesce(pg_catalog.sum(stored.unmetered_message_count), 0)::bigint,
    coalesce(pg_catalog.sum(stored.refused_message_count), 0)::bigint,
    pg_catalog.jsonb_build_object(
      'total_prompt_tokens', coalesce(pg_catalog.sum(stored.total_prompt_tokens), 0),
      'total_completion_tokens', coalesce(pg_catalog.sum(stored.total_completion_tokens), 0),
      'total_tokens', coalesce(pg_catalog.sum(stored.total_tokens), 0),
      'message_count', coalesce(pg_catalog.sum(stored.message_count), 0),
      'unmetered_message_count', coalesce(pg_catalog.sum(stored.unmetered_message_count), 0),
      'refused_message_count', coalesce(pg_catalog.sum(stored.refused_message_count), 0),
      'conversation_count', coalesce(pg_catalog.sum(stored.conversation_count), 0)
    ),
    -- each row hashed whole, and the hashes added: the order does not matter, and nothing is written as text
    'v2:' || coalesce(pg_catalog.sum(pg_catalog.hash_record_extended(
      row(
        stored.user_id, stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens,
        stored.message_count, stored.unmetered_message_count, stored.refused_message_count,
        stored.conversation_count, stored.agent_ids, stored.conversation_ids, stored.last_activity
      ), 0)), 0)
  from usage.user_token_usage stored
  where stored.period_type = stored_tokens.period_type
    and stored.period_start >= stored_tokens.window_start
    and stored.period_start < stored_tokens.window_end
$$;
