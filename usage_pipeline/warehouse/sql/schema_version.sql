-- The newest revision that has run; no row after all were undone.
select version_num from usage_private.schema_version
