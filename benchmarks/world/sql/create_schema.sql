-- Where the drafts of the chat stand while it is made.
create schema bench
