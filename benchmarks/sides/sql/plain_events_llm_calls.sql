-- bench.events: the answers as a person reads them, tokens in the list of calls; a helper that answered from a cache
-- spent nothing.
create unlogged table bench.events as
select
  coalesce(message.sender_user_id, session.user_id, '00000000-0000-0000-0000-000000000000') as user_id,
  message.created_at, message.conversation_id, message.sender_agent_id as agent_id,
  spent.prompt_tokens, spent.completion_tokens, spent.prompt_tokens + spent.completion_tokens as total_tokens
from public.chat_messages_v2 message
left join public.conversation_sessions session on session.conversation_id = message.conversation_id
cross join lateral (
  select
    sum(coalesce(said.usage ->> 'prompt_tokens', said.usage ->> 'prompt', said.usage ->> 'input_tokens')::bigint)
      ::bigint as prompt_tokens,
    sum(coalesce(
      said.usage ->> 'completion_tokens', said.usage ->> 'completion', said.usage ->> 'output_tokens')::bigint)
      ::bigint as completion_tokens
  from jsonb_array_elements(message.metadata #> '{processingDetails,llm_calls}') call (entry)
  cross join lateral (select call.entry #> '{response,usage}' as usage) said
  where call.entry ->> 'stage' <> 'contextual_awareness'
    or message.metadata #>> '{processingDetails,contextual_awareness,from_cache}' = 'false'
) spent
where message.role = 'assistant'
