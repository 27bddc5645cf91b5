"""Several processes on one host that look like one: a supervisor, and its workers."""
