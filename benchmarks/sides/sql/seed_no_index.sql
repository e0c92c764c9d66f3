-- The application's own indexes alone.
drop index if exists seed.seed_sender
