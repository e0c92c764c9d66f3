-- Fills chat_messages_v2 with messages that were written days ago and come in now: updated_at is now.
copy public.chat_messages_v2 (
    id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at
) from stdin
