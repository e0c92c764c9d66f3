-- Fills agents: who answers.
copy public.agents (
    id, name
) from stdin
