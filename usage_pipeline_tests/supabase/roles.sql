-- roles: the roles of a Supabase project, and the `postgres` that a project's owner gets: no superuser, but CREATEROLE
-- and exempt from row-level security. Run once a server by another superuser; `postgres` may not be in session.
alter role postgres rename to supabase_admin;
alter role supabase_admin set search_path = "$user", public, auth, extensions;

create role postgres login nosuperuser createdb createrole replication bypassrls;
alter role postgres set search_path = "$user", public, extensions;
alter role postgres set statement_timeout = '2min';

create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit;
create role supabase_auth_admin login noinherit createrole;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = 60000;
