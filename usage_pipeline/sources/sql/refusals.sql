-- Refused answers, the newest first. Binds: since (NULL: the last seven days), most.
select
  refusal.event_id,
  pg_catalog.to_char(refusal.occurred_at, 'YYYY-MM-DD HH24:MI:SS') as occurred_at,
  refusal.field, refusal.reason, refusal.value
from usage.token_refusals(
  coalesce(cast(cast(:since as date) as timestamp) at time zone 'UTC', usage_private.now() - interval '7 days'),
  usage_private.now() + interval '1 day'
) refusal
order by refusal.occurred_at desc, refusal.event_id
limit cast(:most as bigint)
