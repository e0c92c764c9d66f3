-- The tokens of every answer of a day. Binds: first, until.
select count(*), sum(event.total_tokens), sum(event.prompt_tokens), sum(event.completion_tokens)
from usage.token_events(%(first)s, %(until)s) event
