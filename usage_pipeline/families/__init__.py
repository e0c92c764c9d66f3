"""Families of rollups, as data: what a row means, its key, its measures, its grains and its source.

Assets, checks, statements, readers and words are made from these definitions. A family is a folder here, one
migration and one line of the registry. Nothing here runs anything.
"""
