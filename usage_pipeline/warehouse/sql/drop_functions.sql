-- Drops functions of ours by name, so that a file may change their columns. Binds: names.
select usage_private.drop_functions(cast(:names as text[]))
