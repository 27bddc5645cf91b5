"""How a transaction stands, as every engine knows it; in the bytes of PostgreSQL's protocol."""

from __future__ import annotations

from typing import Final

IDLE: Final = ord("I")
IN_TRANSACTION: Final = ord("T")
IN_FAILED: Final = ord("E")
"""Everything but its end is refused. MySQL's transactions are never so."""
