-- A row for the period, so that there is something to lock. Binds: rollup, period_start, period_end.
insert into usage.rollup_ledger (rollup, period_start, period_end)
values (:rollup, cast(:period_start as timestamptz), cast(:period_end as timestamptz))
on conflict (rollup, period_start) do nothing
