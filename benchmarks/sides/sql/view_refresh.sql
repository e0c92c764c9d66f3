-- A night of the seed's materialized view.
refresh materialized view concurrently seed.user_token_usage_summary
