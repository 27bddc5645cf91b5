"""What the plugin `test_decoding` says of a commit: who wrote how much to which table.

It is in every PostgreSQL, needs no publication, and so nothing of the tables either. Values are not
read; names are, as `quote_qualified_identifier` writes them, and nothing is believed that does not
look so: then it may have been any table.

Source: contrib/test_decoding in PostgreSQL's sources; "Test_decoding" in the manual.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import RemoteProtocolError

_TABLE: Final = b"table "
_BEGIN: Final = b"BEGIN "
_COMMIT: Final = b"COMMIT "
_MESSAGE: Final = b"message: "
_ACTIONS: Final = (b": INSERT:", b": UPDATE:", b": DELETE:")
_TRUNCATE: Final = b": TRUNCATE:"
_DIGITS: Final = 10

PART: Final = 256
"""Changes after which a transaction is told of: it has been committed before its first one comes,
and a large one takes seconds to its last."""

_QUOTE: Final = ord('"')
_DOT: Final = ord(".")
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_$") | frozenset(range(128, 256))
"""What a name that is not quoted is made of; beyond ASCII too, to be sure."""

Name = tuple[bytes, bytes]
"""A schema and a table in it, unquoted."""


@final
class Transaction:
    """One that has been committed, or a part of it.

    Attributes:
        xid: The lower half of its number.
        rows: How many rows of which table were written, in the order in which they first came.
        truncated: These were emptied.
        is_clear: Whether that is all.
    """

    __slots__ = ("changes", "is_clear", "rows", "truncated", "xid")

    def __init__(self, xid: int) -> None:
        self.xid = xid
        self.changes = 0
        self.rows: dict[bytes, int] = {}
        self.truncated: set[bytes] = set()
        self.is_clear = True


@final
class Reader:
    """Puts the lines of a stream together."""

    __slots__ = ("_current",)

    def __init__(self) -> None:
        self._current: Transaction | None = None

    def take(self, line: bytes) -> Transaction | None:
        """Take the beginning of a line; returns the transaction that it ends, or a part of it.

        Raises:
            RemoteProtocolError: It is out of place.
        """
        if line.startswith(_MESSAGE):
            return None
        if line.startswith(_BEGIN):
            number = line[len(_BEGIN) :]
            if not number.isdigit() or len(number) > _DIGITS:
                raise RemoteProtocolError("a transaction without a number in a stream of changes")
            self._current = Transaction(int(number))
            return None
        current = self._current
        if current is None:
            raise RemoteProtocolError("a change outside of transactions in a stream of changes")
        if line.startswith(_COMMIT):
            self._current = None
            return current
        if not line.startswith(_TABLE) or not _take_change(current, line):
            current.is_clear = False
        current.changes += 1
        if current.changes < PART:
            return None
        self._current = Transaction(current.xid)
        return current


def _take_change(current: Transaction, line: bytes) -> bool:
    """Take in a line about tables; False: it is not understood."""
    start = len(_TABLE)
    stop = end_of_name(line, start)
    if not stop:
        return False
    if line.startswith(_ACTIONS, stop):
        name = line[start:stop]
        current.rows[name] = current.rows.get(name, 0) + 1
        return True
    names = [line[start:stop]]
    while line.startswith(b", ", stop):
        start = stop + 2
        stop = end_of_name(line, start)
        if not stop:
            return False
        names.append(line[start:stop])
    if not line.startswith(_TRUNCATE, stop):
        return False
    current.truncated.update(names)
    return True


def end_of_name(line: bytes, start: int) -> int:
    """Find where `schema.table` ends; 0: it is none."""
    middle = _end_of_part(line, start)
    if not middle or middle >= len(line) or line[middle] != _DOT:
        return 0
    return _end_of_part(line, middle + 1)


def _end_of_part(line: bytes, start: int) -> int:
    end = len(line)
    pos = start
    if pos < end and line[pos] == _QUOTE:
        while True:
            pos = line.find(b'"', pos + 1)
            if pos < 0:
                return 0
            if pos + 1 < end and line[pos + 1] == _QUOTE:
                pos += 1
                continue
            return pos + 1
    while pos < end and line[pos] in _PLAIN:
        pos += 1
    return pos if pos > start else 0


def unquote(name: bytes) -> Name | None:
    """Take a whole `schema.table` apart; None: it is none."""
    middle = _end_of_part(name, 0)
    if not middle or end_of_name(name, 0) != len(name):
        return None
    return _unquote_part(name[:middle]), _unquote_part(name[middle + 1 :])


def _unquote_part(part: bytes) -> bytes:
    if part[0] == _QUOTE:
        return part[1:-1].replace(b'""', b'"')
    return part
