-- Takes all of these tables for oneself, or none: whoever waits would hold up others meanwhile. Identifiers: tables.
lock table {tables} in access exclusive mode nowait
