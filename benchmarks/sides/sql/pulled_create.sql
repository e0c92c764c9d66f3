-- The table that the pulled and grouped rows are written to.
drop table if exists bench.pulled cascade;
create table bench.pulled (
  day timestamptz not null, user_id uuid not null, prompt_tokens bigint, completion_tokens bigint, total_tokens bigint,
  message_count bigint, conversation_count bigint, agent_ids uuid[], last_activity timestamptz,
  primary key (day, user_id)
)
