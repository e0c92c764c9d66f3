-- Of what this database was made. Binds: mark.
comment on database {database} is %(mark)s
