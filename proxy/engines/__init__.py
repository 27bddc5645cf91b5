"""What differs between PostgreSQL and MySQL, for sessions that know neither."""
