-- Whoever runs this by hand need not be the login that computes: that one takes our roles too. Binds: login.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['usage_owner', 'usage_writer', 'usage_retention', 'usage_reader'] loop
    if not pg_catalog.pg_has_role(:login, role_name, 'member') then
      execute pg_catalog.format('grant %I to %I', role_name, :login);
    end if;
  end loop;
end
$$;
