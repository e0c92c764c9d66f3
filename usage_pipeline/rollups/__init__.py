"""Rollups: source rows -> one day of tokens per user. The only room that reads raw rows in bulk.

A run replaces its window: it locks the day's ledger row, reads the source up to the clock, writes only
what differs, proves that no message is lost, and records all of it in one transaction.
"""
