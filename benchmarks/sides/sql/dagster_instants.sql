-- Seconds in which Dagster's newest run wrote events of partitions: those it plans, until the run starts, and those it
-- has computed, until their step is done. Its checks come after, in a step of their own.
select
  extract(epoch from max(log.timestamp) filter (where log.dagster_event_type = 'PIPELINE_START')
    - min(log.timestamp) filter (where log.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'))
  + extract(epoch from
    max(log.timestamp) filter (where log.dagster_event_type = 'STEP_SUCCESS' and log.step_key = 'tokens_daily')
    - min(log.timestamp) filter (where log.dagster_event_type = 'ASSET_MATERIALIZATION'))
from event_logs log
where log.run_id = (select runs.run_id from runs order by runs.id desc limit 1)
