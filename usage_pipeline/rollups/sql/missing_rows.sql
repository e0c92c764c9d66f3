-- missing_rows: periods of tokens whose rows the ledger counts and of which none is stored, as after a restore without
-- them. One probe of the key for each period; pruned ones have none by design.
select ledger.rollup, ledger.period_start, ledger.stored_rows
from usage.rollup_ledger ledger
where ledger.rollup like 'tokens\_%' and ledger.stored_rows > 0 and ledger.state <> 'pruned'
  and not exists (
    select
    from usage.user_token_usage stored
    where stored.period_type = pg_catalog.substr(ledger.rollup, 8)
      and stored.period_start >= ledger.period_start and stored.period_start < ledger.period_end
  )
order by ledger.period_start, ledger.rollup
