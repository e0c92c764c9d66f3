-- True once the message is there: the same id at another time is of another story. Binds: id, created_at.
select exists (
  select from public.chat_messages_v2 message
  where message.id = %(id)s and message.created_at = %(created_at)s
)
