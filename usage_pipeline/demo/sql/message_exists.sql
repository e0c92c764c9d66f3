-- True once the message is there. Binds: message_id.
select exists (select from public.chat_messages_v2 message where message.id = %(message_id)s)
