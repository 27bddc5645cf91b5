"""The shell's side of PostgreSQL: who is let in, and how servers are reached."""
