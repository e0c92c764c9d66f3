-- Identifiers: stage.
drop table {stage}
