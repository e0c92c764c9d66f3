-- daily_tokens: one row per (day, user_id) of the assistant's answers.
-- Filters: @start_tstz and @end_tstz, both inclusive. An interval is deleted and inserted again in one transaction.
-- No index: keeping one costs the inserts what it saves the deletes.

model (
  name peer_sqlmesh.daily_tokens,
  kind incremental_by_time_range (
    time_column day,
    batch_size @days_in_a_batch
  ),
  cron '@daily',
  grain (day, user_id)
);

select
    date_trunc('day', message.created_at, 'UTC') as day,
    coalesce(message.sender_user_id, session.user_id, '00000000-0000-0000-0000-000000000000'::uuid) as user_id,
    sum((message.metadata -> 'processingDetails' ->> 'prompt_tokens')::bigint)::bigint as prompt_tokens,
    sum((message.metadata -> 'processingDetails' ->> 'completion_tokens')::bigint)::bigint as completion_tokens,
    sum((message.metadata -> 'processingDetails' ->> 'total_tokens')::bigint)::bigint as total_tokens,
    count(*) as message_count,
    count(distinct message.conversation_id) as conversation_count,
    array_agg(distinct message.sender_agent_id order by message.sender_agent_id)
        filter (where message.sender_agent_id is not null) as agent_ids,
    max(message.created_at) as last_activity
from public.chat_messages_v2 as message
left join public.conversation_sessions as session
    on session.conversation_id = message.conversation_id
where message.role = 'assistant' and message.created_at between @start_tstz and @end_tstz
group by 1, 2
