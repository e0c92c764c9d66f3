-- Fills auth.users: one row per person who can sign in.
copy auth.users (
    id, email
) from stdin
