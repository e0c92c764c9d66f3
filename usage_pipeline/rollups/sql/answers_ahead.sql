-- The answers that lie ahead of the database's clock: how many, and the newest of them.
select pg_catalog.count(*) as answer_count, pg_catalog.max(event.occurred_at) as newest_at
from usage.token_events(usage_private.now(), '2100-01-01 00:00:00+00') event
