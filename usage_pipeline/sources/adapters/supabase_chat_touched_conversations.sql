-- The conversations that a window touched: one row per day that has any. Binds: window_start, window_end.
-- One that has lost its last answer is found by the day its session began: nothing else of it is left in a window.
select
  pg_catalog.date_bin('1 day', touched.touched_at, cast(:window_start as timestamptz)) as day_start,
  pg_catalog.array_agg(distinct touched.conversation_id) as conversation_ids
from (
  select event.occurred_at as touched_at, event.conversation_id
  from usage.token_events(cast(:window_start as timestamptz), cast(:window_end as timestamptz)) event
  union all
  select emptied.began_at::timestamptz, emptied.conversation_id
  from (values (null::timestamptz, null::timestamptz)) absent (started_at, created_at)
  cross join lateral (
    select s.conversation_id, s.total_tokens_used, coalesce(started_at, created_at) as began_at
    from public.conversation_sessions s
  ) emptied
  where emptied.total_tokens_used <> 0
    and emptied.began_at >= cast(:window_start as timestamptz)
    and emptied.began_at < cast(:window_end as timestamptz)
    and not exists (
      select
      from public.chat_messages_v2 answer
      where answer.conversation_id = emptied.conversation_id and answer.role = 'assistant'
    )
) touched
where touched.conversation_id is not null
group by day_start
order by day_start
