-- The roles and schemas everything else stands on. Run by a login with CREATEROLE, and CREATE on the
-- database; running it again changes nothing. Each role is granted to the login that made it.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['usage_owner', 'usage_writer', 'usage_retention', 'usage_reader'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
      begin
        execute pg_catalog.format('create role %I nologin', role_name);
      exception when duplicate_object or unique_violation then
        null; -- made by another database of this server in the same moment
      end;
    end if;
    if not pg_catalog.pg_has_role(session_user, role_name, 'member') or not exists (
      select from pg_catalog.pg_auth_members held
      where held.roleid = role_name::pg_catalog.regrole and held.member = session_user::pg_catalog.regrole
        and coalesce((pg_catalog.to_jsonb(held) ->> 'set_option')::boolean, true)
    ) then
      execute pg_catalog.format('grant %I to %I', role_name, session_user);
    end if;
  end loop;
end
$$;

create schema if not exists usage authorization usage_owner;
create schema if not exists usage_private authorization usage_owner;
create schema if not exists usage_parts authorization usage_owner;
