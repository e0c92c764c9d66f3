-- Reads rows as `copy_rows_out` wrote them. Identifiers: table, columns.
copy {table} ({columns}) from stdin
