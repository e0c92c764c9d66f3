-- Binds: first, until.
select count(computed.user_id) from usage_private.tokens_of_window(%(first)s, %(until)s, null) computed
