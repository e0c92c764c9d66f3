-- What `look` says of one period and of those below it. Binds: family, rollup, starts, ends, below, below_unit.
select
  seen.clock, seen.first_day, seen.grace_days, seen.horizon, seen.is_below, seen.starts, seen.ends, seen.is_gone,
  ledger.state, ledger.covered_until, coalesce(ledger.source_rows, 0) as source_rows, ledger.states, ledger.stored_rows, ledger.hourly_rows,
  ledger.totals, ledger.checksum, ledger.below, ledger.kept_rows, ledger.kept
from usage_private.look(
  :family, :rollup, cast(:starts as timestamptz), cast(:ends as timestamptz), cast(:below as text),
  cast(:below_unit as text)
) seen
cross join lateral (select (seen.ledger).*) ledger
