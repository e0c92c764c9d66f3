-- What a period would lose if its raw rows won: the users whose source holds less than what is stored, and by how
-- much. Reads, and writes nothing. Binds: rollup, period_start, period_end, user_id (NULL: everybody).
select
  pg_catalog.count(*) as user_count,
  coalesce(pg_catalog.sum(stored.message_count - coalesce(source.message_count, 0)), 0)::bigint as messages,
  coalesce(pg_catalog.sum(stored.total_tokens - coalesce(source.total_tokens, 0)), 0)::bigint as tokens
from usage_private.ladder() step
join usage.user_token_usage stored
  on stored.period_type = step.stored_as
  and stored.period_start >= cast(:period_start as timestamptz)
  and stored.period_start < cast(:period_end as timestamptz)
left join usage_private.tokens_of_window(
  cast(:period_start as timestamptz), cast(:period_end as timestamptz), cast(:user_id as uuid)
) source on source.user_id = stored.user_id
where step.rollup = :rollup
  and (cast(:user_id as uuid) is null or stored.user_id = cast(:user_id as uuid))
  and (
    coalesce(source.message_count, 0) < stored.message_count
    or coalesce(pg_catalog.cardinality(source.conversation_ids), 0) < stored.conversation_count
    or coalesce(source.total_tokens, 0) < stored.total_tokens
  )
