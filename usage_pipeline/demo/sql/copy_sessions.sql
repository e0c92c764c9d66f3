-- Fills conversation_sessions: one row per conversation; total_tokens_used stays 0, as in a real application.
copy public.conversation_sessions (
    id, conversation_id, user_id, agent_id, message_count, started_at, last_active
) from stdin
