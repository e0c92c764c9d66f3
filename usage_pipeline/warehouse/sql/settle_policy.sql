-- Records the policy of a family that has none; one that exists stays. Binds: family, first_day, grace_days.
insert into usage.rollup_policy (family, first_day, grace_days)
values (:family, cast(:first_day as date), cast(:grace_days as integer))
on conflict (family) do nothing
