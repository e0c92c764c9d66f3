-- The indexes that the application has, by the names it gives them.
alter table public.chat_messages_v2 add primary key (id);
create index chat_messages_v2_created_at on public.chat_messages_v2 (created_at);
create index chat_messages_v2_conversation on public.chat_messages_v2 (conversation_id, created_at)
