"""What a period was built from, what was kept and restated; and the database's own guard over sealed rows."""

from usage_pipeline.warehouse.migrations import files

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    files.run("0004_seal.up")


def downgrade() -> None:
    files.run("0004_seal.down")
