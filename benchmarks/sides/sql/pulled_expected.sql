-- What must be pulled, of these days. Binds: days.
create or replace view bench.pulled_expected as
select * from bench.plain_day where day = any (%(days)s::timestamptz[])
