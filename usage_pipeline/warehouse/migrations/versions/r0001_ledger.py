"""The ledger, the clock, and the roles' rights on both."""

from usage_pipeline.warehouse.migrations import files

revision = "0001"
down_revision = None


def upgrade() -> None:
    files.run("0001_ledger.up")


def downgrade() -> None:
    files.run("0001_ledger.down")
