-- What the stack's settings say of a family, where the database's own rules read it. Binds: family, first_day,
-- grace_days.
insert into usage.rollup_policy (family, first_day, grace_days)
values (:family, cast(:first_day as date), cast(:grace_days as integer))
on conflict (family) do update
set first_day = excluded.first_day, grace_days = excluded.grace_days
where (rollup_policy.first_day, rollup_policy.grace_days) is distinct from (excluded.first_day, excluded.grace_days)
