-- How long the database worked on the day and on the week, month and year that hold it, by the product's own record.
-- Binds: day.
select ledger.rollup, ledger.duration_ms
from usage.rollup_ledger ledger
where ledger.period_start <= %(day)s and %(day)s < ledger.period_end
