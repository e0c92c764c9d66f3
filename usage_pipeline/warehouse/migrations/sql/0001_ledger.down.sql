-- Takes the ledger and the clock away, and the roles' way into the schemas.
drop table usage.rollup_ledger;
drop function usage_private.drop_functions(text[]);
drop function usage_private.adopt_functions(text[], text);
drop function usage_private.now();
revoke select on usage_private.schema_version from usage_writer, usage_reader, usage_retention;
revoke usage on schema usage from usage_writer, usage_reader, usage_retention;
revoke usage on schema usage_private from usage_writer, usage_reader, usage_retention;
