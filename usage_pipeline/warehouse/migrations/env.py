"""Alembic's entry: the connection comes from the command, the version stands in `usage_private`."""

from typing import Any

from alembic import context

connection = context.config.attributes.get("connection")
options: dict[str, Any] = {"version_table": "schema_version", "version_table_schema": "usage_private"}
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", transactional_ddl=False, **options)
    context.run_migrations()
else:
    context.configure(connection=connection, transaction_per_migration=True, **options)
    with context.begin_transaction():
        context.run_migrations()
