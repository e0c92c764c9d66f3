-- What a refresh that keeps nobody from reading needs; then the view's rows and what they must be.
create unique index on seed.user_token_usage_summary (user_id, day);
analyze seed.user_token_usage_summary;
create view bench.view_rows as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count
from seed.user_token_usage_summary;
create or replace view bench.view_expected as
select day, user_id, prompt_tokens, completion_tokens, total_tokens, message_count
from bench.plain_day
where user_id <> '00000000-0000-0000-0000-000000000000'
