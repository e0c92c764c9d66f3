-- How many processes may count beside the one that is asked. Binds: workers.
select set_config('max_parallel_workers_per_gather', %(workers)s::text, false)
