-- The application's messages once more, each answer with the user of its session, as the seed's statements expect.
create schema seed;
set maintenance_work_mem = '512MB';
create table seed.chat_messages_v2 (like public.chat_messages_v2);
insert into seed.chat_messages_v2
select
  message.id, message.conversation_id, coalesce(message.sender_user_id, session.user_id), message.sender_agent_id,
  message.role, message.content, message.metadata, message.message_type, message.created_at, message.updated_at
from public.chat_messages_v2 message
left join public.conversation_sessions session on session.conversation_id = message.conversation_id
order by message.created_at;
alter table seed.chat_messages_v2 add primary key (id);
create index on seed.chat_messages_v2 (created_at);
create index on seed.chat_messages_v2 (conversation_id, created_at);
create table seed.user_token_usage (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  period_type varchar(10) not null,
  total_prompt_tokens bigint default 0,
  total_completion_tokens bigint default 0,
  total_tokens bigint default 0,
  message_count integer default 0,
  conversation_count integer default 0,
  agent_ids uuid[] default '{}',
  last_activity timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (user_id, period_start, period_type)
);
create index on seed.user_token_usage (user_id, period_start desc, period_type);
create index on seed.user_token_usage (period_start desc, period_end desc);
create index on seed.user_token_usage (updated_at desc) where period_type = 'daily';
analyze seed.chat_messages_v2
