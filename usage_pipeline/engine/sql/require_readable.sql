-- Refuses to read a source of which a row could be hidden.
select usage_private.require_readable()
