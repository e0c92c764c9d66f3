"""Deterministic data that tells a story, and the oracle that checks what is stored.

Here belong a chat application's tables as a real one has them, people and conversations to fill
them with, and the same rules as the pipeline's computed once more in plain Python.
Never here: SQL or code of the rooms that are being checked.
"""
