"""A fingerprint's tokens: keywords folded, names as they were written."""

from __future__ import annotations

import re
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.sql.groups import Group, Item, NotUnderstood, Token, item_at

_TOKEN: Final = re.compile(r'`(?:[^`]|``)*`|"(?:[^"]|"")*"|[^ ]+')
_QUOTES: Final = '`"'


@mypyc_attr(native_class=False)
class Word(Token):
    """A token, folded to lower case unless it is quoted.

    Attributes:
        written: As it stands in the text.
    """

    __slots__ = ("written",)

    written: str


def tokens_of(fingerprint: bytes) -> list[Token]:
    """Cut a fingerprint into its tokens.

    Raises:
        NotUnderstood: It is not UTF-8, so its names can't be compared with the catalog's.
    """
    try:
        text = fingerprint.decode()
    except UnicodeDecodeError:
        raise NotUnderstood("a name is not UTF-8") from None
    is_plain = "`" not in text and '"' not in text
    parts = text.split(" ") if is_plain else _TOKEN.findall(text)
    tokens: list[Token] = []
    for at, part in enumerate([it for it in parts if it]):
        token = Word(part if part[0] in _QUOTES else part.lower())
        token.at = at
        token.written = part
        tokens.append(token)
    return tokens


def is_name(item: Item | None) -> bool:
    """Whether an item can be a name: an identifier or a keyword."""
    if not isinstance(item, Token):
        return False
    first = item[0]
    return first.isalpha() or first in '_`"' or first >= "\x80"


def is_quoted(item: Item | None) -> bool:
    """Whether an item is a quoted name, which is no keyword."""
    return isinstance(item, Token) and item[0] in _QUOTES


def name_of(item: Item) -> str:
    """Give a name as it was written, without its quotes."""
    assert isinstance(item, Word)
    quote = item[0]
    if quote in _QUOTES:
        return item[1:-1].replace(quote * 2, quote)
    return item.written


def dotted(items: list[Item], at: int) -> tuple[list[str], int]:
    """Read `a.b.c` from `at` on: its names, and where it ends."""
    names: list[str] = []
    while is_name(item_at(items, at)):
        names.append(name_of(items[at]))
        if items[at + 1 : at + 2] != ["."] or at + 2 >= len(items):
            return names, at + 1
        at += 2
    if names and items[at] == "*":
        at += 1
    return names, at


def tokens_in(items: list[Item]) -> list[int]:
    """List the numbers of all tokens of some items, brackets included."""
    found: list[int] = []
    for item in items:
        if isinstance(item, Group):
            found.extend(range(item.start, item.stop + 1))
        else:
            found.append(item.at)
    return found
