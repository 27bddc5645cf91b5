"""Which servers there are and what they are: roles, health, lag, latency."""
