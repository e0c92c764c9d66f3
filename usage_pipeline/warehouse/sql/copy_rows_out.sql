-- A table's rows as text, the form that a restore reads; of a partitioned one, those of its partitions. Identifiers:
-- table, columns.
copy (select {columns} from {table}) to stdout
