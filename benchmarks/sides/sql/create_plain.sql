-- What every side is compared with, in a schema of its own.
drop schema if exists bench cascade;
create schema bench;
grant all on schema bench to usage
