-- What the product stored of a grain, in the columns of the plain statement. Binds: period_type.
create or replace view {view} as
select
  stored.period_start as day, stored.user_id, stored.total_prompt_tokens as prompt_tokens,
  stored.total_completion_tokens as completion_tokens, stored.total_tokens, stored.message_count,
  stored.conversation_count, stored.agent_ids, stored.last_activity
from usage.user_token_usage stored
where stored.period_type = %(period_type)s
