-- How many users the directory has, and how many of them have a label; fails with the database's own error where the
-- table cannot be read.
select pg_catalog.count(*) as user_count, pg_catalog.count(named.label) as labelled_count
from usage_private.user_labels() named
