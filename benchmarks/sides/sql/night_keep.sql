-- What stands of the periods that hold a day, kept to be restored. Binds: day.
drop table if exists bench.night_rows;
drop table if exists bench.night_ledger;
create table bench.night_rows as
select stored.*
from usage.user_token_usage stored
where stored.period_start <= %(day)s and %(day)s < stored.period_end;
create table bench.night_ledger as
select ledger.*
from usage.rollup_ledger ledger
where ledger.period_start <= %(day)s and %(day)s < ledger.period_end
