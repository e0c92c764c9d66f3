-- The periods that hold a day as they were kept, past the guards that keep everybody else from it. Binds: day.
set session_replication_role = replica;
delete from usage.user_token_usage stored where stored.period_start <= %(day)s and %(day)s < stored.period_end;
delete from usage.rollup_ledger ledger where ledger.period_start <= %(day)s and %(day)s < ledger.period_end;
insert into usage.user_token_usage select * from bench.night_rows;
insert into usage.rollup_ledger select * from bench.night_ledger
