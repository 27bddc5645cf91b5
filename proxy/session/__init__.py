"""One client's conversation: transaction state, settings, pinning, prepared statements."""
