"""Alembic's revisions: each runs a hand-written `.up.sql`, and has a tested way back in its `.down.sql`."""
