-- What the seed's function stored, in the columns of the plain statement.
create or replace view bench.seed_rows as
select
  period_start as day, user_id, total_prompt_tokens as prompt_tokens, total_completion_tokens as completion_tokens,
  total_tokens, message_count::bigint, conversation_count::bigint, agent_ids, last_activity
from seed.user_token_usage
