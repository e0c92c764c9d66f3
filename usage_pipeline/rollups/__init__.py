"""Rollups: the runs of every family in Dagster: assets, checks, metadata, ranges and their records.

A run replaces its window: it locks the period's ledger row, reads its source up to the clock, writes only
what differs, proves that no row is lost, and records all of it in one transaction. `engine` does that for any
family and grain; here is what Dagster needs around it.
"""
