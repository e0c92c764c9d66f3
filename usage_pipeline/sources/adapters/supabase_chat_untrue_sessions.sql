-- The sessions of these conversations whose total_tokens_used is not true, and what it should be; by id.
-- Binds: conversation_ids. All answers count, those of no day too: they were spent. Of several sessions of a
-- conversation its owner (as in usage.conversation_owner) has the total and the others 0, so that a sum over sessions
-- counts nothing twice.
with spent as (
  select answer.conversation_id, pg_catalog.sum(greatest(coalesce(reported.usage[3], 0), 0)) as total_tokens
  from (
    select message.conversation_id, message.metadata, message.metadata -> 'processingDetails' as details
    from public.chat_messages_v2 message
    where message.conversation_id = any (cast(:conversation_ids as uuid[])) and message.role = 'assistant'
    offset 0
  ) answer
  cross join lateral usage_private.chat_usage(answer.metadata, answer.details) reported
  group by answer.conversation_id
),
ranked as (
  select
    session.id, session.conversation_id, session.total_tokens_used,
    pg_catalog.row_number() over (
      partition by session.conversation_id order by session.user_id is null, session.began_at, session.id
    ) = 1 as is_owner
  from (values (null::timestamptz, null::timestamptz)) absent (started_at, created_at)
  cross join lateral (
    select s.id, s.conversation_id, s.user_id, s.total_tokens_used, coalesce(started_at, created_at) as began_at
    from public.conversation_sessions s
    where s.conversation_id = any (cast(:conversation_ids as uuid[]))
  ) session
),
wanted as (
  select
    ranked.id, ranked.conversation_id, ranked.total_tokens_used,
    case when ranked.is_owner then coalesce(spent.total_tokens, 0) else 0 end as total_tokens
  from ranked
  left join spent on spent.conversation_id = ranked.conversation_id
)
select wanted.id, wanted.conversation_id, wanted.total_tokens
from wanted
where wanted.total_tokens_used is distinct from wanted.total_tokens
order by wanted.id
