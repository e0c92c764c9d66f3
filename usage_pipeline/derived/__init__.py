"""Derived: one grain → the next, as a ladder written down as data; weeks, months and years of tokens.

A period is computed from all the periods below it or not at all, and from raw rows, by the rollup's own
statement, where those are gone. It may never hold a copy of itself per grain.
"""
