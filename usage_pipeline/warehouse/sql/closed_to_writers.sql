-- Why nothing can be written here, in words; NULL where it can. That this transaction reads only does not count.
select case
  when pg_catalog.pg_is_in_recovery() then 'a standby'
  when pg_catalog.current_setting('default_transaction_read_only')::boolean
    then 'read-only by default_transaction_read_only'
end
