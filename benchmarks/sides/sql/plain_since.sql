-- The plain statement's rows from a day on. Binds: first.
create or replace view bench.plain_since as
select * from bench.plain_day where day >= %(first)s
