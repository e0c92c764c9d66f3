-- One row per user and period of the answers, in one plain statement. Binds: unit.
create table {result} as
select
  date_trunc(%(unit)s, event.created_at, 'UTC') as day, event.user_id,
  sum(event.prompt_tokens)::bigint as prompt_tokens, sum(event.completion_tokens)::bigint as completion_tokens,
  sum(event.total_tokens)::bigint as total_tokens, count(*) as message_count,
  count(distinct event.conversation_id) as conversation_count,
  array_agg(distinct event.agent_id) as agent_ids, max(event.created_at) as last_activity
from bench.events event
group by 1, 2
