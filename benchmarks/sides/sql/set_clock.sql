-- What the database says the time is: results of a range do not depend on the day somebody measures it.
-- Binds: instant.
with clock as (
  delete from usage_private.test_clock
)
insert into usage_private.test_clock values (%(instant)s)
