"""The ledger, restatements and guards without the name of a family; the clock is plain SQL."""

from usage_pipeline.warehouse.migrations import files

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    files.run("0005_families.up")


def downgrade() -> None:
    files.run("0005_families.down")
