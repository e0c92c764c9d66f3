-- How many rows stand in a table that are not among those of the stage. Identifiers: table, stage, columns.
select pg_catalog.count(*)
from (select {columns} from {table} except all select {columns} from {stage}) stranger
