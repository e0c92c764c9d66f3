-- One row per setting of the server that measurably costs time where it is low: its value, why it counts, and the
-- statement that raises it.
select
  worth.name, pg_catalog.current_setting(worth.name) as value, worth.reason,
  pg_catalog.pg_size_bytes(pg_catalog.current_setting(worth.name)) < pg_catalog.pg_size_bytes(worth.smallest) as is_low,
  pg_catalog.format('alter system set %I = %L; -- %s', worth.name, worth.smallest, worth.afterwards) as remedy
from (
  values
    (1, 'shared_buffers', '128MB', 'with less of it the pages of a day are read again and again',
      'and restart the server'),
    (2, 'max_wal_size', '1GB', 'with less of it a long backfill is held up by checkpoints',
      'and select pg_reload_conf()')
) worth(place, name, smallest, reason, afterwards)
order by worth.place
