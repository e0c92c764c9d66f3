-- Fills chat_messages_v2: one row per question and per answer.
copy public.chat_messages_v2 (
    id, conversation_id, sender_user_id, sender_agent_id, role, content, metadata, created_at, updated_at
) from stdin
