-- Whether the source holds no message at all, and whether a run ever read one. Binds: rollup.
select
  usage_private.source_is_empty() as is_empty,
  exists (
    select
    from usage.rollup_ledger ledger
    where ledger.rollup = :rollup and (ledger.totals ->> 'message_count')::bigint > 0
  ) as was_read
