-- Whether a relation is there. Binds: name.
select to_regclass(%(name)s) is not null
