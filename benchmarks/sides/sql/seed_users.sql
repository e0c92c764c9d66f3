-- Some users drawn from all, the same each time, and how many there are. Binds: count.
select array_agg(drawn.user_id), max(drawn.every)
from (
  select owner.user_id, count(*) over () as every
  from (select distinct user_id from public.conversation_sessions where user_id is not null) owner
  order by md5(owner.user_id::text)
  limit %(count)s
) drawn
