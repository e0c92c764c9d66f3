-- Of what this database was made.
comment on database {database} is {mark}
