"""How a revision runs its files: as they stand, printed instead when only the SQL is asked for."""

from alembic import context, op

from usage_pipeline.warehouse import statements


def run(name: str) -> None:
    """Execute, or print, `migrations/sql/<name>.sql`."""
    text = statements.read("warehouse.migrations.sql", name)
    if context.is_offline_mode():
        op.get_context().impl.static_output(text)
    else:
        statements.run_script(op.get_bind(), text)
