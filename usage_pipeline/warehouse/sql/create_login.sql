-- The login of the embedded server: it may create our roles and owns our databases, and is no superuser.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'usage') then
    create role usage login createrole;
  end if;
end
$$;
