-- Deletes every row of a table; whoever runs it puts others there in the same transaction. Identifiers: table.
delete from {table}
