"""Tidegate: a database proxy whose reads leave the primary without ever being stale."""

from typing import Final

__version__: Final = "0.1.0"
