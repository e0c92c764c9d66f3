-- Whether the source holds no row at all, and whether a run ever read one. Binds: rollup.
select
  usage_private.any_event(:rollup, '2000-01-01 00:00:00+00', usage_private.now() + interval '1 day') is null as is_empty,
  exists (
    select
    from usage.rollup_ledger ledger
    where ledger.rollup = :rollup and ledger.source_rows > 0
  ) as was_read
