-- Answers that belong to no day, with their whole number on each row. Binds: most.
select
  stray.event_id, stray.occurred_at::text as occurred_at, stray.reason,
  pg_catalog.count(*) over () as stray_count
from usage.token_strays() stray
order by stray.event_id
limit cast(:most as bigint)
