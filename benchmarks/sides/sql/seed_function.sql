-- The seed's function.
create or replace function seed.aggregate_user_token_usage(
  p_user_id uuid, p_period_start timestamptz, p_period_end timestamptz, p_period_type varchar(10)
)
returns void
language plpgsql
as $$
begin
  insert into seed.user_token_usage (
    user_id, period_start, period_end, period_type, total_prompt_tokens, total_completion_tokens, total_tokens,
    message_count, conversation_count, agent_ids, last_activity
  )
  select
    sender_user_id, p_period_start, p_period_end, p_period_type,
    coalesce(sum((metadata -> 'processingDetails' ->> 'prompt_tokens')::integer), 0),
    coalesce(sum((metadata -> 'processingDetails' ->> 'completion_tokens')::integer), 0),
    coalesce(sum((metadata -> 'processingDetails' ->> 'total_tokens')::integer), 0),
    count(*), count(distinct conversation_id),
    array_agg(distinct sender_agent_id) filter (where sender_agent_id is not null), max(created_at)
  from seed.chat_messages_v2
  where sender_user_id = p_user_id and created_at >= p_period_start and created_at < p_period_end
    and role = 'assistant' and metadata -> 'processingDetails' is not null
  group by sender_user_id
  on conflict (user_id, period_start, period_type) do update set
    total_prompt_tokens = excluded.total_prompt_tokens,
    total_completion_tokens = excluded.total_completion_tokens,
    total_tokens = excluded.total_tokens,
    message_count = excluded.message_count,
    conversation_count = excluded.conversation_count,
    agent_ids = excluded.agent_ids,
    last_activity = excluded.last_activity,
    updated_at = now();
end
$$
