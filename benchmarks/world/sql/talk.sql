-- bench.talk: one row per conversation, drawn from its number alone, so that every build is the same.
-- A few users talk much and most seldom; one conversation in thirty is an anonymous link, one in eight goes on for days.
-- Binds: first_day, day_count, conversations_per_day, users, agents.
create unlogged table bench.talk as
select
  n as number,
  pg_catalog.md5('conversation ' || n)::uuid as conversation_id,
  case when draw.anonymous >= 0.03
    then pg_catalog.md5('user ' || 1 + pg_catalog.floor(%(users)s * draw.person ^ 2.5)::int)::uuid end as user_id,
  pg_catalog.md5('agent ' || 1 + pg_catalog.floor(%(agents)s * draw.agent ^ 2)::int)::uuid as agent_id,
  1 + pg_catalog.floor(12 * draw.turns ^ 2)::int as turn_count,
  case when draw.goes_on < 0.125 then interval '1 day' else interval '75 seconds' end as pace,
  (%(first_day)s::date + ((n - 1) / %(conversations_per_day)s)::int)::timestamp at time zone 'UTC'
    + pg_catalog.make_interval(secs => pg_catalog.floor(86000 * draw.instant)) as started_at
from pg_catalog.generate_series(1, %(day_count)s::bigint * %(conversations_per_day)s) n
cross join lateral (
  select
    (pg_catalog.hashint8extended(n, 1) & 1048575) / 1048576.0::float8 as anonymous,
    (pg_catalog.hashint8extended(n, 2) & 1048575) / 1048576.0::float8 as person,
    (pg_catalog.hashint8extended(n, 3) & 1048575) / 1048576.0::float8 as agent,
    (pg_catalog.hashint8extended(n, 4) & 1048575) / 1048576.0::float8 as turns,
    (pg_catalog.hashint8extended(n, 5) & 1048575) / 1048576.0::float8 as goes_on,
    (pg_catalog.hashint8extended(n, 6) & 1048575) / 1048576.0::float8 as instant
) draw
