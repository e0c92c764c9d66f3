-- What is known of a range before it is computed: the database's clock, and how many of its periods are computed.
-- Binds: rollup, window_start, window_end.
select
  usage_private.now() as clock,
  (
    select pg_catalog.count(*)
    from usage.rollup_ledger ledger
    where ledger.rollup = :rollup
      and ledger.state <> 'partial'
      and ledger.covered_until is not null
      and ledger.period_start >= cast(:window_start as timestamptz)
      and ledger.period_start < cast(:window_end as timestamptz)
  ) as computed_count
