-- The triggers of a table that fire, and when: O, A and R as in the catalogue. Binds: table_oid.
select trigger.tgname as name, trigger.tgenabled::text as fires
from pg_catalog.pg_trigger trigger
where trigger.tgrelid = cast(cast(:table_oid as bigint) as oid) and not trigger.tgisinternal and trigger.tgenabled <> 'D'
order by trigger.tgname
