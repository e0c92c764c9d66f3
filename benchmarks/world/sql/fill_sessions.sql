-- A session per conversation.
insert into public.conversation_sessions (id, conversation_id, user_id, agent_id, started_at, last_active)
select
  pg_catalog.md5('session ' || talk.number)::uuid, talk.conversation_id, talk.user_id, talk.agent_id,
  talk.started_at, talk.started_at
from bench.talk
order by talk.number
