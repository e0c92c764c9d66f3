-- A history as a chat application leaves it: 1,000 rows a day, four out of five of them answers, with
-- tokens in the documented shape, as a total alone or as a list of calls; twenty rows a conversation, each
-- conversation with its session, one in ten of them anonymous. Binds: first (the first day), days.
with written as (
  select
    number,
    cast(%(first)s as timestamptz) + number * interval '86.4 seconds' as created_at,
    md5(cast(%(first)s as text) || ' conversation ' || number / 20)::uuid as conversation_id,
    md5('agent ' || number / 20 %% 3)::uuid as agent_id,
    case when number / 20 %% 10 > 0 then md5('user ' || number / 20 %% 40)::uuid end as user_id
  from generate_series(0, cast(%(days)s as integer) * 1000 - 1) number
),
users as (
  insert into auth.users (id)
  select distinct written.user_id from written where written.user_id is not null
  on conflict do nothing
),
agents as (
  insert into public.agents (id, name)
  select distinct written.agent_id, 'Agent' from written
  on conflict do nothing
),
sessions as (
  insert into public.conversation_sessions (id, conversation_id, user_id, agent_id, started_at)
  select gen_random_uuid(), written.conversation_id, written.user_id, written.agent_id, min(written.created_at)
  from written
  group by written.conversation_id, written.user_id, written.agent_id
)
insert into public.chat_messages_v2
  (id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at, updated_at)
select
  gen_random_uuid(), written.conversation_id,
  case when written.number %% 5 = 0 then coalesce(written.user_id, md5('visitor')::uuid) end,
  case when written.number %% 5 > 0 then written.agent_id end,
  case when written.number %% 5 = 0 then 'user' else 'assistant' end,
  jsonb_build_object('text', repeat('a word or two ', 10)),
  case written.number %% 5
    when 0 then null
    when 1 then '{"processingDetails": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}}'
    when 2 then '{"tokens": 150}'
    else '{"tokens": 2336, "processingDetails": {"llm_calls": [
      {"stage": "contextual_awareness", "request": {"model": "small"},
       "response": {"usage": {"prompt_tokens": 300, "completion_tokens": 34, "total_tokens": 334}}},
      {"stage": "main_generation", "request": {"model": "large"},
       "response": {"usage": {"input_tokens": 1800, "output_tokens": 202}}}]}}'
  end::jsonb,
  written.created_at, written.created_at
from written
