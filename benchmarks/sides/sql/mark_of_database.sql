-- Of what this database was made, if it was finished.
select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()
