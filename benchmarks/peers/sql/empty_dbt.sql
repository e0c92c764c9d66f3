-- empty_dbt: the schema is there, the result is not. Binds: none. Running it twice changes nothing.

create schema if not exists peer_dbt;
drop table if exists peer_dbt.daily_tokens;
