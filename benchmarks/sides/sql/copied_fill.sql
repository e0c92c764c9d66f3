-- Weeks, months and years written once more: nothing is computed, looked up, compared or proved.
insert into bench.copied
select stored.*
from usage.user_token_usage stored
where stored.period_type <> 'daily'
order by stored.period_type, stored.period_start, stored.user_id
