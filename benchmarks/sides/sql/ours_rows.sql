-- What the product stored, a view per grain in the columns of the plain statement.
create or replace view bench.ours as
select
  stored.period_type, stored.period_start as day, stored.user_id, stored.total_prompt_tokens as prompt_tokens,
  stored.total_completion_tokens as completion_tokens, stored.total_tokens, stored.message_count,
  stored.conversation_count, stored.agent_ids, stored.last_activity
from usage.user_token_usage stored;
create or replace view bench.ours_day as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count, conversation_count, agent_ids,
  last_activity
from bench.ours
where period_type = 'daily';
create or replace view bench.ours_week as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count, conversation_count, agent_ids,
  last_activity
from bench.ours
where period_type = 'weekly';
create or replace view bench.ours_month as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count, conversation_count, agent_ids,
  last_activity
from bench.ours
where period_type = 'monthly';
create or replace view bench.ours_year as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count, conversation_count, agent_ids,
  last_activity
from bench.ours
where period_type = 'yearly'
