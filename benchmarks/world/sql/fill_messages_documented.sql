-- Questions and answers in the order of their instants; an answer reports its tokens in the documented shape,
-- in 0.7 to 1.5 kB of JSON..
insert into public.chat_messages_v2 (
  id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at, updated_at
)
select
  pg_catalog.md5(line.role || line.number)::uuid, line.conversation_id, line.sender_user_id, line.sender_agent_id,
  line.role, pg_catalog.jsonb_build_object('text', pg_catalog.left(line.filler, 40 + line.length / 4)),
  case line.role when 'user' then '{}' else (
    '{"tokens": ' || line.prompt_tokens + line.completion_tokens
    || ', "model": "gpt-4o", "processing_time_ms": ' || 900 + line.length * 7
    || ', "processingDetails": {"prompt_tokens": ' || line.prompt_tokens
    || ', "completion_tokens": ' || line.completion_tokens
    || ', "total_tokens": ' || line.prompt_tokens + line.completion_tokens
    || ', "pipeline": "retrieve-rerank-answer", "temperature": 0.2, "finish_reason": "stop"'
    || ', "documents": ["' || pg_catalog.md5('d1' || line.number) || '", "' || pg_catalog.md5('d2' || line.number)
    || '", "' || pg_catalog.md5('d3' || line.number) || '"]'
    || ', "stages": {"retrieval": {"ms": 112, "hits": 24}, "rerank": {"ms": 87, "kept": 3}, "answer": {"ms": 740}}'
    || ', "summary": "' || pg_catalog.left(line.filler, 230 + (line.length * 1.5)::int) || '"}}'
  )::jsonb end,
  line.created_at, line.created_at
from (
  select
    said.role, spoken.number, spoken.conversation_id, spoken.prompt_tokens, spoken.completion_tokens, spoken.length,
    case said.role when 'user' then coalesce(spoken.user_id, '00000000-0000-4000-8000-000000000000') end
      as sender_user_id,
    case said.role when 'assistant' then spoken.agent_id end as sender_agent_id,
    case said.role when 'user' then spoken.asked_at else spoken.answered_at end as created_at,
    pg_catalog.substr(bench.filler(), 1 + spoken.length) as filler
  from bench.spoken
  cross join (values ('user'), ('assistant')) said (role)
  order by 8
  offset 0
) line
