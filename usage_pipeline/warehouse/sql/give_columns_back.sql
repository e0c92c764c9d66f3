-- Gives rows the columns that were taken from them, where all that had stayed is as it was. Identifiers: into, stage;
-- taken and staged_taken, key and staged_key, stayed and staged_stayed: the same columns of both.
update {into} standing
set ({taken}) = row({staged_taken})
from {stage} staged
where row({key}) = row({staged_key}) and row({stayed}) is not distinct from row({staged_stayed})
