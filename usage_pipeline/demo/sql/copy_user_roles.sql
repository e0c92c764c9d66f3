-- Fills user_roles: one row per user and role.
copy public.user_roles (
    user_id, role_id
) from stdin
