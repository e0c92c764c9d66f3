"""Sources: adapters that map an application's tables to our contract, and what we can say about them.

Only `adapters` may name an application's table. Nothing here writes to a source, and nothing of ours
depends on a column of theirs: an adapter is one SQL file that creates functions, which PostgreSQL inlines.
"""
