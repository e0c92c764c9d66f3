-- The instant of the oldest answer that belongs to a period; NULL if there is none.
select pg_catalog.min(event.occurred_at)
from usage.token_events('2000-01-01 00:00:00+00', usage_private.now() + interval '1 day') event
