"""The run of one period of any family: look, decide, replace, prove, record; one transaction.

`decide` and `prove` hold the rules and do no I/O. `replace` composes the one statement that writes from the
family's table. No module here names a measure or a table of a family.
"""
