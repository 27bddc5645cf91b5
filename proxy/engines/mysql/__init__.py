"""How MySQL and MariaDB say things, and what their statements leave in a session."""
