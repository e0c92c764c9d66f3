-- Questions and answers in the order of their instants.
insert into public.chat_messages_v2 (
  id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at, updated_at
)
select
  pg_catalog.md5(line.role || line.number)::uuid, line.conversation_id, line.sender_user_id, line.sender_agent_id,
  line.role, pg_catalog.jsonb_build_object('text', pg_catalog.left(line.filler, 40 + line.length / 4)),
  case line.role
    when 'user' then '{}'
    else bench.report(line.number, line.prompt_tokens, line.completion_tokens, line.length, line.filler)
  end::jsonb,
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
  order by created_at, spoken.number, said.role
  offset 0
) line
