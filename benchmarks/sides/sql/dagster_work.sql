-- When the days of Dagster's newest run were begun and ended, in seconds since 1970: its checks come after, in a step
-- of their own.
select
  extract(epoch from max(log.timestamp at time zone 'UTC') filter (where log.dagster_event_type = 'STEP_START')),
  extract(epoch from min(log.timestamp at time zone 'UTC') filter (where log.dagster_event_type = 'STEP_OUTPUT'))
from event_logs log
where log.run_id = (select runs.run_id from runs order by runs.id desc limit 1) and log.step_key = 'tokens_daily'
