"""A fingerprint's tokens as PostgreSQL has them, and the names among them."""

from __future__ import annotations

import re
from typing import Final

from proxy.sql.groups import Item, NotUnderstood, Token

MAX_NAME: Final = 63
"""Longer names are cut by the server, at this many bytes (NAMEDATALEN)."""

_TOKEN: Final = re.compile(r'"(?:[^"]|"")*"|[^ ]+')


def tokens_of(fingerprint: bytes) -> list[Token]:
    """Cut a fingerprint into its tokens.

    Raises:
        NotUnderstood: It is not UTF-8, so its names can't be compared with the catalog's.
    """
    try:
        text = fingerprint.decode()
    except UnicodeDecodeError:
        raise NotUnderstood("a name is not UTF-8") from None
    words = _TOKEN.findall(text) if '"' in text else text.split(" ")
    tokens = []
    for at, word in enumerate([it for it in words if it]):
        token = Token(word)
        token.at = at
        tokens.append(token)
    return tokens


def is_name(item: Item | None) -> bool:
    """Whether an item can be a name: an identifier or a keyword."""
    if not isinstance(item, Token):
        return False
    first = item[0]
    return first.isalpha() or first in '_"' or first >= "\x80"


def name_of(token: str) -> str:
    """Give a name as the catalog has it: without quotes, and cut at the server's limit."""
    return cut(token[1:-1].replace('""', '"') if token.startswith('"') else token)


def cut(name: str) -> str:
    """Cut a name where the server cuts it."""
    if len(name) > MAX_NAME // 4:
        return name.encode()[:MAX_NAME].decode(errors="ignore")
    return name


def dotted(items: list[Item], at: int) -> tuple[list[str], int]:
    """Read `a.b.c` from `at` on: its names, and where it ends."""
    names: list[str] = []
    while at < len(items) and is_name(items[at]):
        names.append(name_of(str(items[at])))
        if items[at + 1 : at + 2] != ["."] or at + 2 >= len(items):
            return names, at + 1
        at += 2
    if names and items[at] == "*":
        at += 1
    return names, at
