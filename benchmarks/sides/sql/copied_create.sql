-- A table like the results, with their keys and indexes, for rows that are there already.
drop table if exists bench.copied;
create table bench.copied (like usage.user_token_usage including all)
