"""Results kept in memory: keys, entries, admission, eviction, single-flight."""
