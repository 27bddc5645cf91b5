"""What a comment asks of the proxy: `/* tidegate: consistency=bounded max_staleness=500ms */`.

A hint is understood whole or not at all: half of one might be weaker than what was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxy.settings.values import RouteTo, parse_duration
from proxy.types import Consistency

LONGEST: Final = 200
"""Bytes of a hint that are looked at."""

KNOWN: Final = 1000
"""Texts whose meaning is kept."""

_WORD: Final = re.compile(r"""([a-z_]+)\s*=\s*('[^']*'|"[^"]*"|[^\s,;'"]+)[\s,;]*""")


@dataclass(slots=True, frozen=True, eq=False)
class Hint:
    """What a hint says. What it does not speak of is None.

    Attributes:
        never_cached: Whether it is neither answered from the cache nor kept.
        cache_max_age: How old a cached result may be, in seconds.
        misread: The first word that is not understood; empty: all of it is.
    """

    consistency: Consistency | None = None
    max_staleness: float | None = None
    route: RouteTo | None = None
    never_cached: bool = False
    cache_max_age: float | None = None
    misread: str = ""


_known: dict[bytes, Hint] = {}


def read_hint(text: bytes) -> Hint:
    """Say what a hint means; the same text gets the same object, as long as it is remembered."""
    hint = _known.get(text)
    if hint is None:
        if len(_known) >= KNOWN:
            _known.clear()
        hint = _known[text] = _read(text)
    return hint


def _read(text: bytes) -> Hint:
    said = text.decode("utf-8", "replace").strip()
    if len(text) > LONGEST:
        return Hint(misread=said[:20])
    found: dict[str, str] = {}
    pos = 0
    while pos < len(said):
        match = _WORD.match(said, pos)
        if match is None or match[1] in found:
            return Hint(misread=_word_at(said, pos))
        found[match[1]] = match[2].strip("'\"")
        pos = match.end()
    try:
        return _meaning(found)
    except _Misread as word:
        return Hint(misread=str(word)[:40])


class _Misread(Exception):
    """A word that is not understood."""


def _meaning(found: dict[str, str]) -> Hint:
    consistency: Consistency | None = None
    staleness: float | None = None
    max_age: float | None = None
    route: RouteTo | None = None
    never_cached = False
    for name, value in found.items():
        try:
            if name == "consistency":
                consistency = Consistency(value.lower())
            elif name == "max_staleness":
                staleness = parse_duration(value)
            elif name == "route":
                route = RouteTo(value.lower())
            elif name == "cache" and value.lower() == "never":
                never_cached = True
            elif name == "cache":
                max_age = parse_duration(value)
            else:
                raise _Misread(f"{name}={value}")
        except ValueError:
            raise _Misread(f"{name}={value}") from None
    return Hint(consistency, staleness, route, never_cached, max_age)


def _word_at(said: str, pos: int) -> str:
    return said[pos:].split(maxsplit=1)[0][:40]
