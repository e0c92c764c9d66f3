-- Rows that were ever inserted, updated or deleted in the product's tables of results.
select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
from pg_stat_user_tables
where schemaname = 'usage_parts'
