-- How far a period can be read now: its end, or the clock. Binds: period_end.
select least(cast(:period_end as timestamptz), usage_private.now())
