"""What a client wants answered before it reads on.

That is a simple query, or the messages of the extended protocol up to a Sync or a Flush, or a piece
of COPY data. Cutting and reading are two steps: `cutting` makes a request of the bytes as they
come; `client_engine` says what its messages speak of, when everything in front of it is done.

Sources: "Message Flow" and "Message Formats" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from proxy.wire import requests
from proxy.wire.postgres import frontend, replies, tags
from proxy.wire.postgres.codec import HEADER, read_formats, read_values
from proxy.wire.postgres.items import Item, must_be_edited
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_OPEN, End, Kept

SIMPLE_TAIL: Final = bytes(6)
"""What a Bind without parameters, asking for text, has behind its names: the simple protocol's."""

BIND_STATEMENT: Final = 6
"""Where the name of the statement begins in a Bind to the unnamed portal."""


@final
class Execution(requests.Execution):
    """See the base. `tail` is what a Bind has behind its names: formats, values, result formats."""

    __slots__ = ()

    def __init__(self, sql: bytes | None, prepared: Prepared | None, tail: bytes) -> None:
        super().__init__(sql, prepared, tail, is_plain=tail is SIMPLE_TAIL)

    def values(self) -> Sequence[bytes | None]:
        """See the base."""
        _, pos = read_formats(self.tail, 0)
        return read_values(self.tail, pos)[0]

    def saying(self, sql: bytes) -> Execution:
        """See the base."""
        other = Execution(sql, self.prepared, self.tail)
        other.max_rows = self.max_rows
        return other


@final
class Request(requests.Request):
    """See the module, and the base.

    Attributes:
        messages: As they came: tags, and bytes with their headers.
        items: The same, read; empty until then.
        edited: Whether it names a statement, so that its messages differ on a server connection.
    """

    __slots__ = ("edited", "items", "messages")

    def __init__(self, end: End, items: list[Item]) -> None:
        super().__init__(end)
        self.messages: list[tuple[int, bytes]] = []
        self.items = items
        self.edited = False

    @property
    def ends_batch(self) -> bool:
        """See the base. A Query does not: it is skipped too."""
        return (self.messages[-1][0] if self.messages else self.items[-1].tag) == tags.SYNC

    @property
    def asks_for_ready(self) -> bool:
        """See the base: a Sync."""
        return len(self.items) == 1 and self.items[0].tag == tags.SYNC

    @property
    def asks_nothing(self) -> bool:
        """See the base: a Flush."""
        return len(self.items) == 1 and self.items[0].tag == tags.FLUSH

    @property
    def is_one_text(self) -> bool:
        """See the base."""
        return self.simple and len(self.items) == 1

    @property
    def only_prepares(self) -> bool:
        """See the base."""
        if self.end is not END_OPEN or self.streams:
            return False
        return all(item.tag in _PREPARES for item in self.items)

    def mentions(self) -> Iterable[Prepared]:
        """See the base."""
        return [item.prepared for item in self.items if item.prepared is not None]

    def unfit_for_copy(self) -> str:
        """See the base. A Sync is passed over then; anything else it can't bear."""
        for item in self.items:
            if item.tag not in _PASSED_OVER:
                return f"unexpected message type 0x{item.tag:02X} during COPY from stdin"
        return ""

    @property
    def leaves_no_cursor(self) -> bool:
        """See the base: every portal that it makes is the unnamed one."""
        return not any(item.tag == tags.BIND and item.message[HEADER] for item in self.items)

    @property
    def only_reads(self) -> bool:
        """See the base."""
        return replies.only_reads(self.items, self._statement, simple=self.simple)

    @property
    def _statement(self) -> Prepared | None:
        return self.executions[0].prepared if self.executions else None

    @property
    def has_parameters(self) -> bool:
        """See the base."""
        return not self.executions[0].tail.startswith(_NO_PARAMETERS)

    def split(self) -> tuple[Request, Request] | None:
        """See the base."""
        place = self._place_of_second()
        if not place:
            return None
        first = Request(self.end, self.items[:place])
        rest = Request(self.end, self.items[place:])
        rest.executions = self.executions[1:]
        rest.undo = self.undo[sum(item.tag == tags.PARSE for item in self.items[:place]) :]
        rest.is_foreign = self.is_foreign
        rest.edited = must_be_edited(rest.items)
        return first, rest

    def _place_of_second(self) -> int:
        """Where a batch's second statement begins; 0: its first is not one without parameters."""
        statement = self._statement
        if self.simple or statement is None or self.has_parameters:
            return 0
        for place, item in enumerate(self.items):
            if item.tag == tags.EXECUTE:
                return place + 1
            is_its = item.tag in (tags.PARSE, tags.BIND) and item.prepared is statement
            if not is_its and not item.is_of_portal:
                return 0
        return 0

    def say_instead(self, sql: bytes, hidden: frozenset[int]) -> None:
        """See the base."""
        self.items = [Item(tags.QUERY, frontend.query(sql), None, b"")]
        self.executions = [Execution(sql, None, SIMPLE_TAIL)]
        self.chunk = None
        self.edited = True
        self.hidden = hidden

    def note_chunk(self, data: bytes) -> None:
        """Keep `data` as this request's exact bytes, if that is what they are.

        Compared byte by byte: a chunk that merely is as long, and in truth holds the end of one
        message and the beginning of another, would let a client name its answer to others.
        """
        if len(data) == self.size and b"".join([message for _, message in self.messages]) == data:
            self.chunk = data

    def take_apart(self, reply: bytes) -> Kept | None:
        """See the base."""
        return (
            replies.take_apart(reply, self.items, simple=self.simple) if self.only_reads else None
        )

    def put_together(self, kept: Kept) -> bytes | None:
        """See the base."""
        if not self.only_reads:
            return None
        return replies.put_together(kept, self.items, simple=self.simple)

    def rows_in(self, reply: bytes) -> list[bytes]:
        """See the base."""
        return replies.rows_in(reply)

    @property
    def is_self_contained(self) -> bool:
        """See the base. A batch must bring its own statement and name none.

        Every message counts: what is bound may be another statement than the one that it brings.
        """
        if self.simple:
            return True
        return self.items[0].tag == tags.PARSE and not any(item.name for item in self.items)

    def named_key(self) -> tuple[bytes, Prepared, bytes] | None:
        """See the base: of a batch that begins with a Bind of it to the unnamed portal."""
        first, chunk = self.items[0], self.chunk
        is_plain = first.tag == tags.BIND and first.name and first.message[HEADER] == 0
        if not is_plain or first.prepared is None:
            return None
        tail = b"" if chunk is None else chunk[chunk.find(0, BIND_STATEMENT) :]
        return first.name, first.prepared, tail


_NO_PARAMETERS: Final = bytes(4)
"""No formats and no values, at the beginning of what a Bind says behind its names."""

_PREPARES: Final = frozenset((tags.PARSE, tags.DESCRIBE, tags.CLOSE, tags.FLUSH))
_PASSED_OVER: Final = frozenset((tags.SYNC, tags.FLUSH))


def text(sql: bytes) -> Request:
    """A request that runs a text of ours."""
    request = Request(requests.END_READY, [Item(tags.QUERY, frontend.query(sql), None, b"")])
    request.simple = True
    request.executions = [Execution(sql, None, SIMPLE_TAIL)]
    return request
