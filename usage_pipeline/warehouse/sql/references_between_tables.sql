-- Which table's rows must stand before which other's.
select distinct reference.conrelid, reference.confrelid
from pg_catalog.pg_constraint reference
where reference.contype = 'f' and reference.conrelid <> reference.confrelid
