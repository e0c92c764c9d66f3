-- Distinct conversations of a range of days, of one user or of all. Binds: user_id, window_start, window_end.
select pg_catalog.count(distinct conversation.id)
from usage.user_token_usage stored
cross join lateral pg_catalog.unnest(stored.conversation_ids) conversation (id)
where stored.period_type = 'daily'
  and (cast(:user_id as uuid) is null or stored.user_id = cast(:user_id as uuid))
  and stored.period_start >= cast(:window_start as timestamptz)
  and stored.period_start < cast(:window_end as timestamptz)
