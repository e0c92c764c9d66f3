-- Fills roles: what a user may be.
copy public.roles (
    id, name
) from stdin
