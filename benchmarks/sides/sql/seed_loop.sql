-- The seed's loop over these users. Binds: users.
select seed.loop(%(users)s)
