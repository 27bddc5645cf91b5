"""The shell's side of MySQL and MariaDB: who is let in, and how servers are reached."""
