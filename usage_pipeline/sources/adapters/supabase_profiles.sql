-- The users of a Supabase application by name: profiles. One row per user, at most one name each.
-- No number needs a name: whatever is wrong with the table, `user_directory` is empty and users show by id.
-- The table may change or disappear at any time. So these functions are PL/pgSQL, which plans again after each
-- change; a handler opens a subtransaction, so they are not parallel safe. Grants of columns are not enough.

create or replace function usage_private.user_labels()
returns table (user_id uuid, label text)
language plpgsql stable rows 10000
set lock_timeout = '1s' -- a name is not worth a longer wait behind the application's own DDL
as $$
#variable_conflict use_column
-- The directory as the table has it, or the error with which it cannot be read. An id that is no UUID is left out.
begin
  return query
  select distinct on (person.user_id) person.user_id, person.label
  from (
    select
      case
        when pg_catalog.pg_typeof(profile.id) = 'pg_catalog.uuid'::pg_catalog.regtype then profile.id::text::uuid
        when profile.id::text ~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' then profile.id::text::uuid
      end as user_id,
      coalesce(
        nullif(pg_catalog.btrim(profile.full_name), ''),
        nullif(pg_catalog.btrim(pg_catalog.concat_ws(' ',
          nullif(pg_catalog.btrim(profile.first_name), ''), nullif(pg_catalog.btrim(profile.last_name), ''))), ''),
        nullif(pg_catalog.btrim(profile.display_name), ''),
        nullif(pg_catalog.btrim(profile.username), ''),
        nullif(pg_catalog.btrim(profile.name), ''),
        nullif(pg_catalog.btrim(profile.email), '')
      ) as label
    from (
      values (null::text, null::text, null::text, null::text, null::text, null::text, null::text, null::text)
    ) absent (id, full_name, first_name, last_name, display_name, username, name, email)
    cross join lateral (
      -- Unqualified on purpose: a column that the table lacks is the NULL of `absent`.
      select
        id, full_name::text, first_name::text, last_name::text,
        display_name::text, username::text, name::text, email::text
      from public.profiles
    ) profile
    offset 0 -- each expression once a row
  ) person
  where person.user_id is not null
  order by person.user_id, person.label;
end
$$;

create or replace function usage.user_directory()
returns table (user_id uuid, label text)
language plpgsql stable rows 10000
as $$
-- Whom an id stands for, once; nobody where the table is absent, hidden, broken or locked.
begin
  return query select named.user_id, named.label from usage_private.user_labels() named;
exception
  when others or assert_failure then return; -- `others` leaves out a failed assert
end
$$;
