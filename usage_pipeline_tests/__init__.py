"""Given rows, when a partition runs, then rows: on real Postgres, mirroring the rooms."""
