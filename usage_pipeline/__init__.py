"""Token and API usage, exact and permanent, from the rows an application already writes.

The map of the house, left to right; a room imports its own files and those to its left:

    refusals    the one shape of an error that a person can mend
    settings    the one gate for configuration
    periods     days, weeks, months and years as half-open UTC windows
    warehouse   server, connections, migrations, roles, statements, the ledger
    families    what a family of rollups is, as data: tables, measures, grains
    sources     adapters: an application's tables as our contract
    engine      the run of one period of any family: its rules, and its one statement
    rollups     the runs of every family in Dagster: assets, checks, ranges, their records
    derived     what is due; periods restated or brought up to date outside of a run
    serving     aggregates -> the people who read them
    automation  what happens unattended, on one page
    definitions everything Dagster knows, by name
    demo        data that tells a story, and the oracle that checks it
    cli         the verbs a person types
"""
