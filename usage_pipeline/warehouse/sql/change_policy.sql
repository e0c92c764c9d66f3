-- Changes the policy of a family. Binds: family, first_day, grace_days (each NULL: it stays).
update usage.rollup_policy
set
  first_day = coalesce(cast(:first_day as date), first_day),
  grace_days = coalesce(cast(:grace_days as integer), grace_days)
where family = :family
