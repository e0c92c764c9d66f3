-- An answer, if the session is still there.
select 1
