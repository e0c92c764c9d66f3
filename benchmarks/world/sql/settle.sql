-- As a database that has lived for a while: its rows visible to index scans, its statistics known.
vacuum analyze
