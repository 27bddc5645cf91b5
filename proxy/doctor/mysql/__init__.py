"""MySQL and MariaDB, as the doctor asks them."""
