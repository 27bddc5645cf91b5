"""What carries the words of a fleet's members between their processes: docs/fleet.md."""
