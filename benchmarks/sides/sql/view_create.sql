-- The seed's materialized view.
create materialized view seed.user_token_usage_summary as
select
  sender_user_id as user_id,
  date_trunc('day', created_at) as day,
  sum((metadata -> 'processingDetails' ->> 'prompt_tokens')::integer) as prompt_tokens,
  sum((metadata -> 'processingDetails' ->> 'completion_tokens')::integer) as completion_tokens,
  sum((metadata -> 'processingDetails' ->> 'total_tokens')::integer) as total_tokens,
  count(*) as message_count
from seed.chat_messages_v2
where sender_user_id is not null and role = 'assistant'
group by sender_user_id, date_trunc('day', created_at)
