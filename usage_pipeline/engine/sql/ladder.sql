-- ladder: every rollup, from the finest up: its family, how its rows are stored, what a row and a run cover, what it is
-- made from, and with which rollup's periods it is pruned. families: what they call their rows, and from when on a run
-- does not believe their source. Both are made from the definitions of the families.

create or replace function usage_private.ladder()
returns table (
  rollup text, family text, stored_as text, row_unit text, run_unit text, below text, pruned_with text,
  keeps_ids boolean
)
language sql immutable parallel safe
as $$
  values
    {ladder}
$$;

create or replace function usage_private.families()
returns table (
  family text, contract text, unit text, event text, events text, count_column text, added text[], least_rows bigint,
  least_share numeric
)
language sql immutable parallel safe
as $$
  -- A source has lost its rows if it has less than least_share of a period that is over and held at least least_rows.
  select known.family, known.contract, known.unit, known.event, known.events, known.count_column, known.added::text[],
    known.least_rows, known.least_share
  from (values
    {families}
  ) known (family, contract, unit, event, events, count_column, added, least_rows, least_share)
$$;

create or replace function usage_private.start_of(unit text, instant timestamptz)
returns timestamptz
language sql stable parallel safe
as $$
  select pg_catalog.date_trunc(start_of.unit, start_of.instant, 'UTC')
$$;

create or replace function usage_private.end_of(unit text, period_start timestamptz)
returns timestamptz
language sql stable parallel safe
as $$
  select (period_start at time zone 'UTC' + ('1 ' || end_of.unit)::interval) at time zone 'UTC'
$$;

create or replace function usage_private.in_words(unit text, period_start timestamptz)
returns text
language sql stable parallel safe
as $$
  select pg_catalog.to_char(period_start at time zone 'UTC', case in_words.unit
    when 'year' then 'YYYY' when 'month' then 'YYYY-MM' else 'YYYY-MM-DD' end)
$$;
