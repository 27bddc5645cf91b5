"""Frames and notes as bytes. Pure.

    format   kind   checksum   body
    1        1      4          numbers as in LEB128, tokens and sums as 16 bytes

What comes from a bus is believed to have been sent only if its checksum says so, which begins
with the fleet and the server group: a message of another channel is as broken as one that was cut.
Then it is a whole frame or note, or `Malformed` and nothing else. A database's name is in a message
once; a table is its number there, and its own.

LEB128: DWARF Debugging Information Format 5, section 7.6, https://dwarfstd.org/doc/DWARF5.pdf.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from struct import Struct
from typing import Final, final
from zlib import crc32

from proxy.freshness.frames import (
    Claim,
    Cleared,
    Doubted,
    Frame,
    Item,
    Marked,
    Note,
    Rode,
    State,
    Turning,
    Undone,
    Wrote,
)
from proxy.types import Epoch, Position, Table, Token

FORMAT: Final = 3
"""Of all messages: to be raised when what a member says can't be told to older ones any more."""

LONGEST: Final = 16 * 2**20
"""Bytes of a message: the state of some 700,000 tables. Redis cuts off who is behind by 32 MB."""

_HEAD: Final = Struct(">BBI")
_HEAD_BYTES: Final = 6

_FRAME: Final = 1
_NOTE: Final = 2

_MARKED: Final = 1
_CLEARED: Final = 2
_UNDONE: Final = 3
_TURNING: Final = 4
_WROTE: Final = 5
_RODE: Final = 6
_DOUBTED: Final = 7

_IS_DEAF: Final = 1
_HAS_STATE: Final = 2

_TOKEN_BYTES: Final = 16
_TABLE_BYTES: Final = 2  # at least
_MOST_BITS: Final = 128  # of a number


class Malformed(Exception):
    """A message that no member of this fleet has sent like that, or one of another version."""


class TooLong(Exception):
    """There is more to say than goes into a message."""


@final
class Codec:
    """Says things to, and hears them from, one server group's members of one fleet.

    Args:
        fleet: Its name.
        group: The server group's.
    """

    __slots__ = ("_seed",)

    def __init__(self, fleet: str, group: str) -> None:
        self._seed = crc32(f"{fleet}/{group}".encode())

    def encode(self, said: Frame | Note) -> bytes:
        """Write a message.

        Raises:
            TooLong: It would be above `LONGEST`.
        """
        writer = _Writer()
        if isinstance(said, Frame):
            kind = _FRAME
            writer.frame(said)
        else:
            kind = _NOTE
            writer.note(said)
        body = bytes(writer.out)
        if len(body) > LONGEST - _HEAD_BYTES:
            raise TooLong(f"{len(body)} bytes, and {LONGEST} may be sent")
        return _HEAD.pack(FORMAT, kind, self._checksum(kind, body)) + body

    def decode(self, message: bytes) -> Frame | Note:
        """Read a message.

        Raises:
            Malformed: It is none.
        """
        if not _HEAD_BYTES <= len(message) <= LONGEST:
            raise Malformed(f"{len(message)} bytes")
        if message[0] != FORMAT:
            raise Malformed(f"format {message[0]}, and {FORMAT} is known")
        kind = message[1]
        if kind != _FRAME and kind != _NOTE:
            raise Malformed(f"kind {kind}")
        body = message[_HEAD_BYTES:]
        if int.from_bytes(message[2:_HEAD_BYTES], "big") != self._checksum(kind, body):
            raise Malformed("changed on its way, or of another fleet")
        reader = _Reader(body)
        said: Frame | Note = reader.frame() if kind == _FRAME else reader.note()
        reader.end()
        return said

    def _checksum(self, kind: int, body: bytes) -> int:
        return crc32(body, (self._seed + kind) & 0xFFFFFFFF)


@final
class _Writer:
    """What is said, as it grows."""

    __slots__ = ("_databases", "out")

    def __init__(self) -> None:
        self.out = bytearray()
        self._databases: dict[str, int] = {}

    def frame(self, frame: Frame) -> None:
        self._text(frame.sender)
        self._number(frame.number)
        self._epoch(frame.epoch)
        self._number(len(frame.items))
        for item in frame.items:
            self._item(item)
        self._number(len(frame.grants))
        for name, heard in frame.grants.items():
            self._text(name)
            self._number(heard)

    def note(self, note: Note) -> None:
        self._text(note.sender)
        self._text(note.to)
        self._number(note.heard)
        self._number(note.number)
        state = note.state
        flags = _IS_DEAF if note.is_deaf else 0
        if state is not None:
            flags |= _HAS_STATE
        self.out.append(flags)
        if state is not None:
            self._state(state)

    def _state(self, state: State) -> None:
        self._epoch(state.epoch)
        self._number(len(state.pending))
        for token, tables in state.pending.items():
            self._whole(token)
            self._tables(tables)
        self._sums(state.sums)
        self._number(len(state.legacies))
        for name, sums in state.legacies.items():
            self._text(name)
            self._sums(sums)
        self._tables(state.doubted)

    def _item(self, item: Item) -> None:
        if isinstance(item, Marked):
            self.out.append(_MARKED)
            self._whole(item.token)
            self._tables(item.tables)
        elif isinstance(item, Cleared):
            self._cleared(item)
        elif isinstance(item, Rode):
            self.out.append(_RODE)
            self._whole(item.token)
            self._sums(item.steps)
            self._position(item.position)
        elif isinstance(item, Undone):
            self.out.append(_UNDONE)
            self._whole(item.token)
        elif isinstance(item, Wrote):
            self._wrote(item)
        elif isinstance(item, Doubted):
            self.out.append(_DOUBTED)
            self._tables(item.tables)
        else:
            self.out.append(_TURNING)
            self._epoch(item.epoch)

    def _wrote(self, item: Wrote) -> None:
        self.out.append(_WROTE)
        self._whole(item.token)
        self._number(len(item.rows))
        for table, rows in item.rows:
            self._table(table)
            self._number(rows)
        self._number(len(item.claims))
        for claim in item.claims:
            self._tables(claim.tables)
            self._likes(claim.gtids)

    def _likes(self, texts: Collection[str]) -> None:
        """Write texts that begin alike: how many characters of the one before, and the rest."""
        self._number(len(texts))
        before = ""
        for text in texts:
            same = 0
            for one, other in zip(before, text, strict=False):
                if one != other:
                    break
                same += 1
            self._number(same)
            self._text(text[same:])
            before = text

    def _cleared(self, item: Cleared) -> None:
        changed = item.changed
        self.out.append(_CLEARED)
        self._whole(item.token)
        self.out.append(0 if changed is None else 1)
        if changed is not None:
            self._tables(changed)
        self._position(item.position)

    def _position(self, position: Position | None) -> None:
        self._number(0 if position is None else position + 1)

    def _sums(self, sums: Mapping[Table, int]) -> None:
        self._number(len(sums))
        for table, total in sums.items():
            self._table(table)
            self._whole(total)

    def _tables(self, tables: Collection[Table]) -> None:
        self._number(len(tables))
        for table in tables:
            self._table(table)

    def _table(self, table: Table) -> None:
        databases = self._databases
        place = databases.get(table.database)
        if place is None:
            place = databases[table.database] = len(databases)
            self._number(place)
            self._text(table.database)
        else:
            self._number(place)
        self._number(table.oid)

    def _epoch(self, epoch: Epoch) -> None:
        self._number(epoch.number)
        self._whole(epoch.token)

    def _whole(self, number: int) -> None:
        self.out += number.to_bytes(_TOKEN_BYTES, "big")

    def _text(self, text: str) -> None:
        octets = text.encode("utf-8", "surrogatepass")
        self._number(len(octets))
        self.out += octets

    def _number(self, number: int) -> None:
        while number > 0x7F:
            self.out.append(number & 0x7F | 0x80)
            number >>= 7
        self.out.append(number)


@final
class _Reader:
    """A body, as it is read."""

    __slots__ = ("_body", "_databases", "_place")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._place = 0
        self._databases: list[str] = []

    def end(self) -> None:
        if self._place != len(self._body):
            raise Malformed("more than a message")

    def frame(self) -> Frame:
        sender = self._text()
        number = self._number()
        epoch = self._epoch()
        items = tuple([self._item() for _ in range(self._count(2))])
        grants: dict[str, int] = {}
        for _ in range(self._count(2)):
            name = self._text()
            grants[name] = self._number()
        return Frame(sender, number, epoch, items, grants)

    def note(self) -> Note:
        sender = self._text()
        to = self._text()
        heard = self._number()
        number = self._number()
        flags = self._octet()
        state = self._state() if flags & _HAS_STATE else None
        return Note(sender, to, heard, bool(flags & _IS_DEAF), number, state)

    def _state(self) -> State:
        epoch = self._epoch()
        pending: dict[Token, frozenset[Table]] = {}
        for _ in range(self._count(_TOKEN_BYTES)):
            token = Token(self._whole())
            pending[token] = self._tables()
        sums = self._sums()
        legacies: dict[str, dict[Table, int]] = {}
        for _ in range(self._count(2)):
            name = self._text()
            legacies[name] = self._sums()
        return State(epoch, pending, sums, legacies, self._tables())

    def _sums(self) -> dict[Table, int]:
        sums: dict[Table, int] = {}
        for _ in range(self._count(_TOKEN_BYTES)):
            table = self._table()
            sums[table] = self._whole()
        return sums

    def _item(self) -> Item:
        kind = self._octet()
        if kind == _MARKED:
            token = Token(self._whole())
            return Marked(token, self._tables())
        if kind == _CLEARED:
            return self._cleared()
        if kind == _RODE:
            token = Token(self._whole())
            steps = self._sums()
            return Rode(token, steps, self._position())
        if kind == _UNDONE:
            return Undone(Token(self._whole()))
        if kind == _WROTE:
            return self._wrote()
        if kind == _TURNING:
            return Turning(self._epoch())
        if kind == _DOUBTED:
            return Doubted(self._tables())
        raise Malformed(f"an item of kind {kind}")

    def _wrote(self) -> Wrote:
        token = Token(self._whole())
        rows = tuple([self._rows() for _ in range(self._count(3))])
        claims = tuple([self._claim() for _ in range(self._count(2))])
        return Wrote(token, rows, claims)

    def _claim(self) -> Claim:
        tables = self._tables()
        return Claim(tables, tuple(self._likes()))

    def _likes(self) -> list[str]:
        texts: list[str] = []
        before = ""
        total = 0
        for _ in range(self._count(2)):
            same = self._number()
            if same > len(before):
                raise Malformed("more of a text than there is")
            before = before[:same] + self._text()
            total += len(before)
            if total > LONGEST:
                raise Malformed("longer than a message when it is written out")
            texts.append(before)
        return texts

    def _rows(self) -> tuple[Table, int]:
        table = self._table()
        return table, self._number()

    def _cleared(self) -> Cleared:
        token = Token(self._whole())
        changed = self._tables() if self._octet() else None
        return Cleared(token, changed, self._position())

    def _position(self) -> Position | None:
        number = self._number()
        return Position(number - 1) if number else None

    def _tables(self) -> frozenset[Table]:
        return frozenset([self._table() for _ in range(self._count(_TABLE_BYTES))])

    def _table(self) -> Table:
        place = self._number()
        if place == len(self._databases):
            self._databases.append(self._text())
        elif place > len(self._databases):
            raise Malformed(f"a database {place}, of {len(self._databases)}")
        return Table(self._databases[place], self._number())

    def _epoch(self) -> Epoch:
        number = self._number()
        return Epoch(number, Token(self._whole()))

    def _whole(self) -> int:
        return int.from_bytes(self._octets(_TOKEN_BYTES), "big")

    def _text(self) -> str:
        octets = self._octets(self._count(1))
        try:
            return octets.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Malformed("a name that is no text") from None

    def _count(self, smallest: int) -> int:
        """Read how many there are of what has so many bytes at least."""
        count = self._number()
        if count * smallest > len(self._body) - self._place:
            raise Malformed("cut off")
        return count

    def _number(self) -> int:
        number = shift = 0
        while True:
            octet = self._octet()
            number |= (octet & 0x7F) << shift
            if octet < 0x80:
                return number
            shift += 7
            if shift > _MOST_BITS:
                raise Malformed("a number without an end")

    def _octet(self) -> int:
        place = self._place
        if place >= len(self._body):
            raise Malformed("cut off")
        self._place = place + 1
        return self._body[place]

    def _octets(self, count: int) -> bytes:
        place = self._place
        if count > len(self._body) - place:
            raise Malformed("cut off")
        self._place = place + count
        return self._body[place : place + count]
