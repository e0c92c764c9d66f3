-- The people and agents of the benchmark's chat. Binds: users, agents.
with made as (
  insert into auth.users (id, email)
  select pg_catalog.md5('user ' || n)::uuid, 'user' || n || '@example.com'
  from pg_catalog.generate_series(1, %(users)s) n
  returning id, email
),
named as (
  insert into public.profiles (id, full_name)
  select made.id, pg_catalog.initcap(pg_catalog.split_part(made.email, '@', 1))
  from made
)
insert into public.agents (id, name)
select pg_catalog.md5('agent ' || n)::uuid, 'Agent ' || n
from pg_catalog.generate_series(1, %(agents)s) n
