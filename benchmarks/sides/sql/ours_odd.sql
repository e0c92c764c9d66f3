-- Stored rows whose own columns contradict each other: ids that were lost, a wrong end, an answer called unreadable.
select count(*)
from usage.user_token_usage stored
where stored.unmetered_message_count + stored.refused_message_count <> 0
  or stored.period_type in ('daily', 'monthly')
    and cardinality(stored.conversation_ids) is distinct from stored.conversation_count
  or stored.period_end <> stored.period_start + case stored.period_type
    when 'daily' then interval '1 day'
    when 'weekly' then interval '7 days'
    when 'monthly' then interval '1 month'
    else interval '1 year'
  end
