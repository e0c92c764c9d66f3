-- The rows of a day go before they are written again. Binds: day.
delete from bench.pulled where day = :day
