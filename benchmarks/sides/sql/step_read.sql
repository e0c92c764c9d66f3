-- Binds: first, until.
select sum(event.prompt_tokens), sum(event.completion_tokens), sum(event.total_tokens)
from usage.token_events(%(first)s, %(until)s) event
