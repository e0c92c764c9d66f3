-- What the writers wrote goes.
delete from public.chat_messages_v2 where message_type = 'bench'
