"""A fingerprint for people: as text, and as a few digits that stand for it.

To people, a statement with a literal and one with a parameter in its place are the same.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

_VALUE: Final = re.compile(rb"(?:(?<= )|^)(?:''|0|\$1)(?= |$)")
_TIGHT: Final = ((" . ", "."), ("( ", "("), (" )", ")"), (" , ", ", "))


def digest(fingerprint: bytes) -> str:
    """Name a fingerprint by 16 hexadecimal digits: what rules, logs and EXPLAIN ROUTE call it."""
    return blake2b(_VALUE.sub(b"?", fingerprint), digest_size=8).hexdigest()


def shown(fingerprint: bytes) -> str:
    """Write a fingerprint as somebody would: `select a from public.t where id = ?`."""
    text = _VALUE.sub(b"?", fingerprint).decode("utf-8", "replace")
    for wide, tight in _TIGHT:
        text = text.replace(wide, tight)
    return text
