-- Messages are written without their indexes, which are made when all are there: half the time.
alter table public.chat_messages_v2 drop constraint chat_messages_v2_pkey;
drop index public.chat_messages_v2_created_at, public.chat_messages_v2_conversation
