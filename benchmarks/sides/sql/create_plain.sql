-- What every side is compared with, in a schema of its own.
create schema if not exists bench;
grant all on schema bench to usage
