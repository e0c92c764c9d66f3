-- What follows belongs to usage_owner.
set role usage_owner;
