-- Writes total_tokens_used of these sessions and nothing else; returns the ids of those that were free.
-- Binds: session_ids, totals. Rows are locked by id, and one that the application holds is passed over: this
-- statement waits for no row. Whoever inserts a row that refers to a session does not wait for it either.
with free as materialized (
  select session.id
  from public.conversation_sessions session
  where session.id = any (cast(:session_ids as uuid[]))
  order by session.id
  for no key update skip locked
)
update public.conversation_sessions session
set total_tokens_used = wanted.total_tokens
from free
join rows from (
  pg_catalog.unnest(cast(:session_ids as uuid[])), pg_catalog.unnest(cast(:totals as numeric[]))
) wanted (id, total_tokens) on wanted.id = free.id
where session.id = free.id
returning session.id
