-- A question, written now. Binds: id, conversation.
insert into public.chat_messages_v2 (id, conversation_id, sender_user_id, role, content, metadata, message_type)
values (%(id)s, %(conversation)s, '00000000-0000-4000-8000-000000000001', 'user', '{"text": "And now?"}', '{}', 'bench')
