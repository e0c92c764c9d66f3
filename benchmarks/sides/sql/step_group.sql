-- The rollup's rows of a day, computed and not stored. Binds: first, until.
select
  sum(computed.message_count), sum(computed.total_tokens), sum(computed.total_prompt_tokens),
  sum(computed.total_completion_tokens), sum(computed.total_only_message_count),
  sum(computed.unmetered_message_count), sum(computed.refused_message_count),
  sum(cardinality(computed.agent_ids)), sum(cardinality(computed.conversation_ids)), max(computed.last_activity)
from usage_private.tokens_of_window(%(first)s, %(until)s, null) computed
