-- conversations_of_periods: one row per period of a grain that keeps no ids: its distinct conversations over all users,
-- who may share some. They are counted from the rows it was made from, where those stand as they were read and are all
-- of it; where not, the number is not known and there is no row.
-- Binds: rollup, window_start, window_end.
with made as (
  select
    ledger.period_start, ledger.covered_until, lower.stored_as,
    (ledger.totals ->> 'message_count')::bigint as message_count
  from usage_private.ladder() step
  join usage_private.ladder() lower on lower.rollup = step.below
  join usage.rollup_ledger ledger on ledger.rollup = step.rollup
  where step.rollup = :rollup
    and ledger.period_start >= cast(:window_start as timestamptz)
    and ledger.period_start < cast(:window_end as timestamptz)
    and ledger.state in ('open', 'sealed')
    and not exists (
      select
      from usage.rollup_ledger newer
      where newer.rollup = lower.rollup
        and newer.period_start >= ledger.period_start and newer.period_start < ledger.period_end
        and newer.state in ('open', 'sealed')
        and newer.checksum is distinct from
          ledger.below ->> pg_catalog.to_char(newer.period_start at time zone 'UTC', 'YYYY-MM-DD')
    )
),
below as (
  select
    made.period_start, stored.conversation_ids,
    pg_catalog.sum(stored.message_count) over (partition by made.period_start) = made.message_count as is_all
  from made
  join usage.user_token_usage stored
    on stored.period_type = made.stored_as
      and stored.period_start >= cast(:window_start as timestamptz)
      and stored.period_start < cast(:window_end as timestamptz)
      and stored.period_start >= made.period_start and stored.period_start < made.covered_until
)
select below.period_start, pg_catalog.count(distinct conversation.id) as conversations
from below
left join lateral pg_catalog.unnest(below.conversation_ids) conversation (id) on true
where below.is_all
group by below.period_start
