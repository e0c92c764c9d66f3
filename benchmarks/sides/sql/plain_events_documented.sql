-- bench.events: the answers as a person reads them, tokens in the documented shape.
create unlogged table bench.events as
select
  coalesce(message.sender_user_id, session.user_id, '00000000-0000-0000-0000-000000000000') as user_id,
  message.created_at, message.conversation_id, message.sender_agent_id as agent_id,
  (message.metadata #>> '{processingDetails,prompt_tokens}')::bigint as prompt_tokens,
  (message.metadata #>> '{processingDetails,completion_tokens}')::bigint as completion_tokens,
  (message.metadata #>> '{processingDetails,total_tokens}')::bigint as total_tokens
from public.chat_messages_v2 message
left join public.conversation_sessions session on session.conversation_id = message.conversation_id
where message.role = 'assistant'
