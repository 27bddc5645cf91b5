"""What BEGIN, COMMIT, ROLLBACK and the savepoints say exactly, read from their fingerprints.

They hold no literals, so the fingerprint is the whole text: folded, with single spaces. What is
said in another way than the manual's gives None: the server shall judge it.

Source: the manual's pages on these commands ("SQL Commands").
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxy.sql.postgres.groups import name_of

_LEVEL: Final = rb"isolation level (?:serializable|repeatable read|read committed|read uncommitted)"
_MODE: Final = rb"(?:" + _LEVEL + rb"|read only|read write|deferrable|not deferrable)"
_BEGIN: Final = re.compile(
    rb"(begin(?: work| transaction)?|start transaction)"
    rb"((?: " + _MODE + rb"(?:(?: ,)? " + _MODE + rb")*)?)"
)
_END: Final = re.compile(
    rb"(?:commit|end|rollback|abort)(?: work| transaction)?(?: and (?:(no )?chain))?"
)
_NAME: Final = rb'("(?:[^"]|"")+"|[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*)'
_SAVEPOINT: Final = re.compile(
    rb"(?:savepoint|release(?: savepoint)?|rollback(?: work| transaction)? to(?: savepoint)?) "
    + _NAME
)


class Begin(NamedTuple):
    """BEGIN or START TRANSACTION.

    Attributes:
        text: What it says.
        tag: What a server answers.
        isolation: The level it asks for; empty: the session's default.
    """

    text: bytes
    tag: bytes
    isolation: str = ""


def read_begin(text: bytes) -> Begin | None:
    """Read BEGIN; None: it is not one, or says something unusual."""
    found = _BEGIN.fullmatch(text)
    if found is None:
        return None
    levels = re.findall(_LEVEL, found[2])
    if len(levels) > 1:
        return None
    tag = b"BEGIN" if text.startswith(b"begin") else b"START TRANSACTION"
    return Begin(text, tag, levels[0].decode().removeprefix("isolation level ") if levels else "")


def read_end(text: bytes) -> bool | None:
    """Read COMMIT or ROLLBACK: whether it begins the next one at once; None: it is neither."""
    found = _END.fullmatch(text)
    return None if found is None else text.endswith(b"chain") and found[1] is None


def read_savepoint(text: bytes) -> str | None:
    """Read which savepoint a SAVEPOINT, RELEASE or ROLLBACK TO speaks of; None: it is neither."""
    found = _SAVEPOINT.fullmatch(text)
    return None if found is None else name_of(found[1].decode())
