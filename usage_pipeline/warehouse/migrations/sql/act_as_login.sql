-- What follows is done by the login itself.
reset role;
