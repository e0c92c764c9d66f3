-- Every answer of a day, no JSON read. Binds: first, until.
select count(*) from usage.token_events(%(first)s, %(until)s)
