"""Values of settings, written as SQL text and read from it."""

from __future__ import annotations

import re
from typing import Final

LISTS: Final = frozenset(
    (
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "local_preload_libraries",
        "unix_socket_directories",
    )
)
"""Settings whose value is a list of names, which the server shows the way it is written."""


def written(name: str, value: str) -> str:
    """Write a setting's plain value as the SQL text that sets it.

    A list of names is cut and folded as the server does it, and each name quoted: a name that needs
    no quotes in a value may well need them in SQL. What is no list of names becomes one name, which
    the server judges.
    """
    if name not in LISTS:
        return quote(value)
    names: list[str] = []
    pos = 0
    while match := _LISTED.match(value, pos):
        quoted, bare, comma = match.groups()
        names.append(f'"{quoted}"' if bare is None else quote_name(_folded(bare)))
        pos = match.end()
        if not comma:
            return ", ".join(names) if pos == len(value) else quote(value)
    return quote(value)


def _folded(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


_LISTED: Final = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s",][^\s,]*))\s*(,?)')


def quote_name(name: str) -> str:
    """Write a name so that it can't be anything else."""
    return '"' + name.replace('"', '""') + '"'


def quote(value: str) -> str:
    """Write a value as an SQL string."""
    doubled = value.replace("'", "''")
    if "\\" in value:
        return " E'" + doubled.replace("\\", "\\\\") + "'"
    return "'" + doubled + "'"


def value_of(raw: str | None, default: str) -> str:
    """The plain value of a setting's SQL text."""
    if raw is None or raw.lower() == "default":
        return default.lower()
    return raw.strip().strip("'\"").lower()


def plain_value(raw: str) -> str:
    """Read the plain value of a setting's SQL text, as it is."""
    text = raw.strip()
    if text[:2] in ("E'", "e'"):
        return text[2:-1].replace("''", "'").replace("\\\\", "\\")
    if text[:1] in ("'", '"'):
        return text[1:-1].replace(text[0] * 2, text[0])
    return "" if text.lower() == "default" else text.lower()


def plain_name(raw: str) -> str:
    """The role that a SET ROLE names; empty for none."""
    text = raw.strip()
    if text.lower() in ("", "none", "default", "'none'"):
        return ""
    if text[0] == '"' or text[0] == "'":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text.lower()
