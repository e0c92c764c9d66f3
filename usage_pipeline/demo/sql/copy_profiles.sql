-- Fills profiles: the full name of each user.
copy public.profiles (
    id, full_name
) from stdin
