"""What the demo shows, a scene at a time: each asks as an application would, and then judges
what came of it by Tidegate's own metrics and by the values that were read."""
