-- True once the application's tables stand.
select pg_catalog.to_regclass('public.chat_messages_v2') is not null
