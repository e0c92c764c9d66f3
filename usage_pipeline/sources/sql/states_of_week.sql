-- Answers of the last seven days by usage state.
select event.usage_state, pg_catalog.count(*)
from usage.token_events(usage_private.now() - interval '7 days', usage_private.now() + interval '1 day') event
group by event.usage_state
order by event.usage_state
