"""Derived: which periods are due, and what a person asks of periods outside of a run.

A sealed period is restated and the periods above it follow; one unit is brought up to date at every grain.
The ladder of grains is data (`families`); nothing here holds a copy of itself per grain.
"""
