-- The index that makes one call of the seed's function cheap.
create index seed_sender on seed.chat_messages_v2 (sender_user_id, created_at)
