"""Periods: days, ISO weeks, months and years as half-open UTC windows.

`calendar` is pure; `partitions` is Dagster's view of it. Neither may know a table.
"""
