-- Stores what the table lacks of the stage, with the ids it had. Identifiers: table, stage, columns.
insert into {table} ({columns}) overriding system value
select {columns} from {stage}
except all
select {columns} from {table}
