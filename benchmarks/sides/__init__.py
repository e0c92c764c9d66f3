"""Those who do the work: each has something to prepare, a way to run, and rows that are compared."""
