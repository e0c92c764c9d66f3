-- stored_tokens: what stands stored for one period: rows, sums and a checksum that equal sets share.
-- Binds: period_type, window_start, window_end.
select
  pg_catalog.count(*) as stored_rows,
  coalesce(pg_catalog.sum(stored.message_count), 0)::bigint as message_count,
  pg_catalog.jsonb_build_object(
    'total_prompt_tokens', coalesce(pg_catalog.sum(stored.total_prompt_tokens), 0),
    'total_completion_tokens', coalesce(pg_catalog.sum(stored.total_completion_tokens), 0),
    'total_tokens', coalesce(pg_catalog.sum(stored.total_tokens), 0),
    'message_count', coalesce(pg_catalog.sum(stored.message_count), 0),
    'unmetered_message_count', coalesce(pg_catalog.sum(stored.unmetered_message_count), 0),
    'refused_message_count', coalesce(pg_catalog.sum(stored.refused_message_count), 0),
    'conversation_count', coalesce(pg_catalog.sum(stored.conversation_count), 0)
  ) as totals,
  'v1:' || pg_catalog.md5(coalesce(pg_catalog.string_agg(
    pg_catalog.concat_ws(
      '|', stored.user_id, stored.total_prompt_tokens, stored.total_completion_tokens, stored.total_tokens,
      stored.message_count, stored.unmetered_message_count, stored.refused_message_count,
      stored.conversation_count, stored.agent_ids, stored.conversation_ids,
      extract(epoch from stored.last_activity)
    ), E'\n' order by stored.user_id), '')) as checksum
from usage.user_token_usage stored
where stored.period_type = cast(:period_type as text)
  and stored.period_start >= cast(:window_start as timestamptz)
  and stored.period_start < cast(:window_end as timestamptz)
