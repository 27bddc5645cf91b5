"""The table ledger: what has been committed, what is on its way, what a replica must have."""
