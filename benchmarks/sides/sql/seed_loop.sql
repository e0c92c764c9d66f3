-- The seed's loop over these users. Binds: users, first, day_count.
select seed.loop(%(users)s, %(first)s, %(day_count)s)
