-- Binds: first, until.
select count(*) from usage.token_events(%(first)s, %(until)s)
