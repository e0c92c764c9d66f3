-- Whether Dagster believes some run to be at work.
select exists (
  select
  from public.runs run
  where run.status in ('STARTING', 'STARTED', 'CANCELING')
)
