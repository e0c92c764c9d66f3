-- The same questions and answers; an answer lists the calls of the model behind it: two helpers, then one to three
-- that wrote it, whose usage takes each of the three forms in turn.
insert into public.chat_messages_v2 (
  id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at, updated_at
)
select
  pg_catalog.md5(line.role || line.number)::uuid, line.conversation_id, line.sender_user_id, line.sender_agent_id,
  line.role, pg_catalog.jsonb_build_object('text', pg_catalog.left(line.filler, 40 + line.length / 4)),
  case line.role when 'user' then '{}' else (
    '{"tokens": ' || line.prompt_tokens + line.completion_tokens
    || ', "processing_time_ms": ' || 900 + line.length * 7
    || ', "processingDetails": {"contextual_awareness": {"from_cache": '
    || case when line.length % 4 = 0 then 'true' else 'false' end
    || '}, "llm_calls": ['
    || '{"stage": "contextual_awareness", "duration_ms": 112, "request": {"model": "gpt-4o-mini", "temperature": 0}'
    || ', "response": {"id": "' || pg_catalog.md5('c1' || line.number)
    || '", "usage": {"prompt_tokens": 210, "completion_tokens": 12, "total_tokens": 222}}}'
    || ', {"stage": "intent_classification", "duration_ms": 87, "request": {"model": "gpt-4o-mini", "temperature": 0}'
    || ', "response": {"id": "' || pg_catalog.md5('c2' || line.number)
    || '", "usage": {"input_tokens": 180, "output_tokens": 6}}}'
    || case when line.length % 3 = 0 then
      ', {"stage": "draft", "duration_ms": 390, "request": {"model": "gpt-4o", "temperature": 0.2}'
      || ', "response": {"id": "' || pg_catalog.md5('c3' || line.number) || '", "usage": {"prompt": 150, "completion": 30'
      || ', "total": 180}}}' else '' end
    || ', {"stage": "answer", "duration_ms": 740, "request": {"model": "gpt-4o", "temperature": 0.2}'
    || ', "response": {"id": "' || pg_catalog.md5('c4' || line.number) || '", "usage": {"prompt_tokens": '
    || line.prompt_tokens || ', "completion_tokens": ' || line.completion_tokens || ', "total_tokens": '
    || line.prompt_tokens + line.completion_tokens || '}}}]'
    || ', "summary": "' || pg_catalog.left(line.filler, (line.length * 0.8)::int) || '"}}'
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
