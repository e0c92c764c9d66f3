-- Seconds of Dagster's newest run that passed before its step started and after the step's work had ended.
select extract(epoch from max(log.timestamp) - min(log.timestamp)) - extract(epoch from
  min(log.timestamp) filter (where log.dagster_event_type = 'STEP_OUTPUT')
  - max(log.timestamp) filter (where log.dagster_event_type = 'STEP_START'))
from event_logs log
where log.run_id = (select runs.run_id from runs order by runs.id desc limit 1)
