-- No result of the seed's function.
truncate seed.user_token_usage
