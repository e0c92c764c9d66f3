"""The warehouse: the embedded server, connections and their roles, migrations, statements, the ledger.

It knows how a statement reaches Postgres and who runs it; it may never hold a business rule,
and every statement it or another room runs stands in a `.sql` file beside the code that runs it.
"""
