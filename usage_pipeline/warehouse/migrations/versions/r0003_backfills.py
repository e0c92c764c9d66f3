"""Which ranges were asked for and how they ended; what a period cost, and when in it its answers came."""

from usage_pipeline.warehouse.migrations import files

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    files.run("0003_backfills.up")


def downgrade() -> None:
    files.run("0003_backfills.down")
