"""Sources: adapters that map an application's tables to our contract, and what we can say about them.

Only `adapters` may name an application's table. Nothing of ours depends on a column of theirs: an
adapter is one SQL file that creates functions, which PostgreSQL inlines. Nothing here writes to a source; the
one statement that does stands beside its adapter, for `session_totals` to run where somebody enabled it.
"""
