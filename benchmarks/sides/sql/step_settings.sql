-- As the product's function sets them for itself.
set plan_cache_mode = force_custom_plan;
set work_mem = '64MB';
set max_parallel_workers_per_gather = 0
