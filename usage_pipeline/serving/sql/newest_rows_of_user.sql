-- newest_rows_of_user: at most one row per grain: the user's newest stored period, and when its last answer was written.
-- Binds: user_id.
select grain.period_type, newest.period_start, newest.last_activity
from (values ('daily'), ('weekly'), ('monthly'), ('yearly')) grain (period_type)
cross join lateral (
  select stored.period_start, coalesce(stored.last_activity, stored.period_start) as last_activity
  from usage.user_token_usage stored
  where stored.user_id = cast(:user_id as uuid) and stored.period_type = grain.period_type
    and stored.period_start >= '2000-01-01 00:00:00+00' and stored.period_start < usage_private.now()
  order by stored.period_start desc
  limit 1
) newest
