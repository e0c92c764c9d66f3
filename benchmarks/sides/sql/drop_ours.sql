-- No view of the benchmark's stands on the product's tables while they are migrated.
drop view if exists bench.ours_day, bench.ours_week, bench.ours_month, bench.ours_year
