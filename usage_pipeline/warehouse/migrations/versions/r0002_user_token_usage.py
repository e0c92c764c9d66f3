"""Tokens of each user and period, partitioned from the start."""

from usage_pipeline.warehouse.migrations import files

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    files.run("0002_user_token_usage.up")


def downgrade() -> None:
    files.run("0002_user_token_usage.down")
