-- The chat stands; its drafts go.
drop schema bench cascade
