"""A fingerprint for people: as text, and as a few digits that stand for it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_TIGHT: Final = ((" . ", "."), ("( ", "("), (" )", ")"), (" , ", ", "))


def digest(fingerprint: bytes) -> str:
    """Name a fingerprint by 16 hexadecimal digits: what rules, logs and EXPLAIN ROUTE call it."""
    return blake2b(fingerprint, digest_size=8).hexdigest()


def shown(fingerprint: bytes) -> str:
    """Write a fingerprint as somebody would who has no values: `select a from public.t where id =
    0`."""
    text = fingerprint.decode("utf-8", "replace")
    for wide, tight in _TIGHT:
        text = text.replace(wide, tight)
    return text
