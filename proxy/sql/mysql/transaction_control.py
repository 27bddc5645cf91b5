"""What BEGIN, COMMIT, ROLLBACK and the savepoints say exactly in MySQL's SQL.

Read from their fingerprints, since they hold no literals. What is said in another way than the
manual's gives None: the server shall judge it.

Source: "START TRANSACTION, COMMIT, and ROLLBACK Statements" and its neighbours in MySQL's manual.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxy.sql.mysql.groups import name_of, tokens_of

_OPTION: Final = r"(?:with consistent snapshot|read only|read write)"
_BEGIN: Final = re.compile(rf"begin(?: work)?|start transaction((?: {_OPTION}(?: ,(?= ))?)*)")
_END: Final = re.compile(r"(commit|rollback)(?: work)?(?: and( no)? chain)?(?:( no)? release)?")
_NAME: Final = r'(`(?:[^`]|``)+`|"(?:[^"]|"")+"|[a-z0-9_$\x80-\U0010ffff]+)'
_SAVEPOINT: Final = re.compile(
    r"(?:savepoint|release savepoint|rollback(?: work)? to(?: savepoint)?) " + _NAME
)


class Begin(NamedTuple):
    """BEGIN or START TRANSACTION.

    Attributes:
        read_only: None: what the session's default says.
        consistent_snapshot: Whether its snapshot is taken at once.
    """

    read_only: bool | None = None
    consistent_snapshot: bool = False


class End(NamedTuple):
    """COMMIT or ROLLBACK; None: what `completion_type` says.

    Attributes:
        chain: Whether the next transaction begins at once, as this one did.
        release: Whether the server closes the connection.
    """

    commits: bool
    chain: bool | None = None
    release: bool | None = None


def read_begin(text: bytes) -> Begin | None:
    """Read BEGIN; None: it is not one, or says something unusual."""
    found = _BEGIN.fullmatch(_folded(text))
    if found is None:
        return None
    options = found[1] or ""
    only, write = "read only" in options, "read write" in options
    if only and write:
        return None
    return Begin(True if only else False if write else None, "snapshot" in options)


def read_end(text: bytes) -> End | None:
    """Read COMMIT or ROLLBACK; None: it is neither."""
    folded = _folded(text)
    found = _END.fullmatch(folded)
    if found is None:
        return None
    chain = None if " chain" not in folded else found[2] is None
    release = None if " release" not in folded else found[3] is None
    if chain and release:
        return None
    return End(found[1] == "commit", chain, release)


def read_savepoint(text: bytes) -> str | None:
    """Read which savepoint a SAVEPOINT, RELEASE or ROLLBACK TO speaks of; None: it is neither.

    Savepoints know no case.
    """
    if _SAVEPOINT.fullmatch(_folded(text)) is None:
        return None
    return name_of(tokens_of(text)[-1]).lower()


def _folded(text: bytes) -> str:
    return text.decode("utf-8", "replace").lower()
