-- daily_tokens: one row per (day, user_id) of the assistant's answers; a batch is a UTC day.
-- Filters: created_at within the batch, added by dbt. Postgres merges on unique_key, so rows that vanished stay.
-- The index makes those merges faster. concurrent_batches is what we would want; this adapter does not heed it.

{{
  config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='day',
    batch_size='day',
    begin=env_var('PEER_FIRST'),
    unique_key=['day', 'user_id'],
    indexes=[{'columns': ['day', 'user_id'], 'unique': true}],
    concurrent_batches=true
  )
}}

with messages as (
    select * from {{ source('application', 'chat_messages_v2') }}
),

sessions as (
    select * from {{ source('application', 'conversation_sessions') }}
)

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
from messages as message
left join sessions as session on session.conversation_id = message.conversation_id
where message.role = 'assistant'
group by 1, 2
