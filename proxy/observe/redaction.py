"""Keep secrets out of what is printed, whoever put them there.

Nothing should hand a secret to a log. This is the fence for the day when something does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, final

MASK: Final = "***"

SHORTEST: Final = 4
"""Shorter secrets aren't searched for: masking every "a" would leave nothing to read."""

SECRET_FIELDS: Final = frozenset({"password", "passwd", "verifier", "secret", "authorization"})

SHAPES: Final = re.compile(
    r"SCRAM-SHA-\d+\$[^\s'\"]+"  # a verifier as PostgreSQL stores it
    r"|\bmd5[0-9a-f]{32}\b"
    r"|(?<=password=)(?:'[^']*'|[^\s&'\"]+)"  # a connection string
    r"|(?<=PASSWORD ')(?:[^']|'')*(?=')"  # ALTER ROLE
    r"|(?<=://)[^\s/@]*:[^\s@]*(?=@)",  # a URL
    re.IGNORECASE,
)


@final
class Redactor:
    """Masks known secrets, and what looks like one.

    Args:
        secrets: Texts that must never be seen.
    """

    __slots__ = ("_known",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one secret may be the beginning of another.
        known = sorted({text for text in secrets if len(text) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def clean(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return SHAPES.sub(MASK, text)

    def clean_field(self, name: str, value: object) -> object:
        """Mask a field by its name or by what it says; numbers stay numbers."""
        if name in SECRET_FIELDS:
            return MASK
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean(str(value))
