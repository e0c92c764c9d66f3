"""This checkout beside an older revision of it: what a run costs the server, and how long a range takes."""
