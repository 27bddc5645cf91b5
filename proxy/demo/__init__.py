"""`tidegate demo`: servers of its own, a workload, and what Tidegate made of it."""
