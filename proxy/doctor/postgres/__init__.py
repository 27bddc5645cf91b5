"""What is PostgreSQL's own: its logs, its statistics, and how its catalogs are fetched."""
