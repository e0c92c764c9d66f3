-- In this transaction a policy that would hide a row from us is an error: what is saved is whole, or is not saved.
select pg_catalog.set_config('row_security', 'off', true)
