"""MySQL's client/server protocol, as MySQL and MariaDB speak it: both sides, sans-I/O."""
