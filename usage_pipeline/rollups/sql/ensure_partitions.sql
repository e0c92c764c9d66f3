-- The partitions that a range needs; how many were missing. Binds: period_type, first, until.
select usage_private.ensure_partitions(
  cast(:period_type as text), cast(:first as timestamptz), cast(:until as timestamptz))
