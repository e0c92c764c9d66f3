-- The answers and the tokens of a day, by the plain statement. Binds: day.
select sum(message_count)::bigint, sum(total_tokens)::bigint
from bench.plain_day
where day = %(day)s
