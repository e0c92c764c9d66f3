-- Counting the answers of some days, on every core: the least that reading them can cost. Binds: first, until.
select count(*)
from public.chat_messages_v2
where role = 'assistant' and created_at >= %(first)s and created_at < %(until)s
