-- bench.spoken: one row per question and answer, with the numbers the answer reports, in the order they were written.
-- Binds: first_day, day_count.
create unlogged table bench.spoken as
select
  talk.conversation_id, talk.user_id, talk.agent_id, turn.number * 1000000 + talk.number as number,
  talk.started_at + talk.pace * turn.number as asked_at,
  talk.started_at + talk.pace * turn.number + pg_catalog.make_interval(secs => 2 + draw.waited) as answered_at,
  300 + draw.prompt as prompt_tokens, 40 + draw.completion as completion_tokens, draw.length::int as length
from bench.talk
cross join lateral pg_catalog.generate_series(0, talk.turn_count - 1) turn (number)
cross join lateral (
  select
    pg_catalog.hashint8extended(talk.number * 16 + turn.number, 7) & 2047 as prompt,
    pg_catalog.hashint8extended(talk.number * 16 + turn.number, 8) & 1023 as completion,
    pg_catalog.hashint8extended(talk.number * 16 + turn.number, 9) & 15 as waited,
    pg_catalog.hashint8extended(talk.number * 16 + turn.number, 10) & 511 as length
) draw
where talk.started_at + talk.pace * turn.number
  < (%(first_day)s::date + %(day_count)s::int)::timestamp at time zone 'UTC' - interval '1 minute'
order by answered_at, number
