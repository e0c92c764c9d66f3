"""Peers: what a user would pick instead, as a competent engineer would set it up in each tool.

A module here is one tool, measured as a user runs it: its own command in a process of its own, in an
environment of its own lock, on a copy of its project. All have the same face: RESULT, VERSION, VARIANTS,
`prepare`, `empty`, `fill`, `night`; only the last two are timed. No data are made, no time is taken and no
result is judged here, and nothing here is imported by the product.
"""
