"""How fast Tidegate is beside PostgreSQL itself and PgBouncer; the method: docs/benchmarks.md."""
