"""What statements in the SQL of MySQL and MariaDB do."""
