-- No view, and no comparison with it.
drop materialized view if exists seed.user_token_usage_summary cascade
