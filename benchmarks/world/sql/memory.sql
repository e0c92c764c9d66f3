-- So much memory for the sorts of this transaction, on a machine that measures and does nothing else.
set local work_mem = '512MB'
