-- No dead row of an earlier round.
vacuum analyze usage.user_token_usage
