"""What reading SQL asks about PostgreSQL's own grammar: its words, its statements, its names."""
