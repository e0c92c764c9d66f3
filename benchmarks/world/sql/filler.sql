-- bench.filler(): a few kilobytes of text that no compression makes small, the same on every build.
create function bench.filler() returns text
language sql immutable parallel safe
return (
  select pg_catalog.string_agg(pg_catalog.md5('filler ' || n), ' ' order by n)
  from pg_catalog.generate_series(1, 60) n
)
