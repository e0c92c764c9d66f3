-- Runs the statements of rights.sql, printed for a person; on a database that is right it runs none. Identifiers: rights.
do $rights$
declare
  lacking_right record;
begin
  for lacking_right in
{rights}
  loop
    execute lacking_right.statement;
  end loop;
end
$rights$;
