-- One statement of the engine as a function, for run_one: what it found, as JSON. Made from the table of the family.
create or replace function usage_private.{function}(
  p_window_start timestamptz, p_window_end timestamptz, p_covered_until timestamptz, p_period_starts timestamptz[],
  p_only {unit}
)
returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  found record;
begin
  for found in
{statement}
  loop
    return to_jsonb(found);
  end loop;
end
$$;
