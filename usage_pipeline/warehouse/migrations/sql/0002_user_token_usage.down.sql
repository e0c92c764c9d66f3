-- Takes the tokens of every period away, partitions included.
drop function usage_private.ensure_partitions(text, timestamptz, timestamptz);
drop function usage_private.partition_name(text, timestamptz);
drop table usage.user_token_usage;
