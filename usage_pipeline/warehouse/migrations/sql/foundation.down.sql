-- Drops the schemas, which must be empty by now, and each role that no other database of the server needs.
drop table if exists usage_private.schema_version;
drop schema if exists usage_parts;
drop schema if exists usage_private;
drop schema if exists usage;

do $$
declare
  role_name text;
begin
  foreach role_name in array array['usage_reader', 'usage_retention', 'usage_writer', 'usage_owner'] loop
    begin
      execute pg_catalog.format('drop role if exists %I', role_name);
    exception when dependent_objects_still_exist then
      null; -- another database of this server still uses it
    end;
  end loop;
end
$$;
