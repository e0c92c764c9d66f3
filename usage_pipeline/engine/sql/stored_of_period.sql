-- stored_of_period: how many rows of a period are stored, of whatever family, and the checksum that equal sets share.
-- Made from the families' tables.

create or replace function usage_private.stored_of_period(
  p_rollup text, p_window_start timestamptz, p_window_end timestamptz
)
returns table (stored_rows bigint, checksum text)
language sql stable parallel safe
as $$
{statement}
$$;
