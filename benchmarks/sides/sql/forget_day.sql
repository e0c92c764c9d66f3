-- The rows of a day go, so that a night finds it missing. Binds: day.
delete from {result} where day = %(day)s
