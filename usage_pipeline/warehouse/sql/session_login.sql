-- The login behind this session, whichever role it has taken.
select session_user::text
