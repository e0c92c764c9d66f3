-- A place for rows that are not checked yet, with the columns of their table and none of its rules; gone before the
-- transaction ends. Identifiers: stage, table, columns.
create unlogged table {stage} as select {columns} from {table} with no data
