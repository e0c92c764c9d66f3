-- What time it is by the one clock.
select usage_private.now()
