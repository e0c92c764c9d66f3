-- What was written so far is on the disk.
checkpoint
