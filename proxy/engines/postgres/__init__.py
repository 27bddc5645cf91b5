"""How PostgreSQL says things, and what its statements leave in a session."""
