"""What operators ask: HTTP (health, metrics) and commands answered to SQL clients."""
