-- Binds the owner to the policies again. Identifiers: table.
alter table {table} force row level security
