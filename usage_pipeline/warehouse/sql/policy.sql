-- The policy of a family: its first day and its grace; no row before `migrate apply` has recorded it. Binds: family.
select policy.first_day, policy.grace_days
from usage.rollup_policy policy
where policy.family = :family
