-- What the seed's loop must find for these users. Binds: users.
create or replace view bench.seed_expected as
select * from bench.plain_day where user_id = any (%(users)s::uuid[])
