-- Writes the hash of their file on functions of ours. Binds: names, mark.
select usage_private.adopt_functions(cast(:names as text[]), cast(:mark as text))
