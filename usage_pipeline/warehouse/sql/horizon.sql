-- Where the raw history of a family begins, if somebody declared it. Binds: family.
select nullif(known.begins_at, '-infinity') as begins_at
from usage.source_horizon known
where known.family = :family
