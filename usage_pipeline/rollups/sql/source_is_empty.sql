-- Whether the source holds no message at all. Binds: none.
select usage_private.source_is_empty()
