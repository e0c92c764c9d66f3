-- Silences a trigger, or lets it fire as before. Identifiers: table, trigger; switch: disable, enable and its kinds.
alter table {table} {switch} trigger {trigger}
