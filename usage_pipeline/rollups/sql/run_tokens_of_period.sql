-- The run of one period of tokens; what it says. Binds: rollup, period_start, intent, user_id, reason, run_id,
-- code_version.
select ran.said, ran.inserted, ran.updated, ran.deleted, ran.totals_before
from usage_private.run_tokens(
  :rollup, cast(:period_start as timestamptz), :intent, cast(:user_id as uuid), cast(:reason as text),
  cast(:run_id as text), cast(:code_version as text)
) ran
