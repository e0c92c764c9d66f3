-- The rows of the source that lie ahead of the database's clock: how many, and the newest of them. Place: contract.
select pg_catalog.count(*) as row_count, pg_catalog.max(event.occurred_at) as newest_at
from usage.{contract}(usage_private.now(), '2100-01-01 00:00:00+00') event
