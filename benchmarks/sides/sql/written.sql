-- Rows of results that a transaction from this one on has inserted or changed, how many there are, and the next
-- transaction. Binds: since.
select
  count(*) filter (where stored.xmin::text::bigint >= %(since)s), count(*), txid_snapshot_xmax(txid_current_snapshot())
from usage.user_token_usage stored
