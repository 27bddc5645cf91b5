"""What is asked and answered in them."""

from __future__ import annotations

from typing import Final

BY_KEY: Final = b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"
DESCRIPTION: Final = b"T\x00\x00\x00\x21\x00\x01abalance\x00" + bytes(18)
COMPLETE: Final = b"C\x00\x00\x00\x0dSELECT 1\x00"
READY: Final = b"Z\x00\x00\x00\x05I"


def row(size: int) -> bytes:
    """Make a DataRow with one column, of so many bytes in all."""
    value = size - 11
    body = (1).to_bytes(2, "big") + value.to_bytes(4, "big") + b"x" * value
    return b"D" + (len(body) + 4).to_bytes(4, "big") + body
