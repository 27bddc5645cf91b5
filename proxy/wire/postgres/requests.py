"""What a client wants answered before it reads on.

That is a simple query, or the messages of the extended protocol up to a Sync or a Flush, or a piece
of COPY data. Cutting and reading are two steps: `cutting` makes a request of the bytes as they
come; `client_engine` says what its messages speak of, when everything in front of it is done.

Sources: "Message Flow" and "Message Formats" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, unique
from typing import Final

from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.prepared import Prepared

SIMPLE_TAIL: Final = bytes(6)
"""What a Bind without parameters, asking for text, has behind its names: the simple protocol's."""


@unique
class End(Enum):
    """How a request ends."""

    READY = "ready"  # the server answers it with ReadyForQuery
    OPEN = "open"  # more of the same batch follows: a Flush, or a batch cut for its size
    COPY = "copy"  # a piece of COPY data; answered by nothing
    COPY_END = "copy_end"  # CopyDone or CopyFail
    TERMINATE = "terminate"


END_READY: Final = End.READY
END_OPEN: Final = End.OPEN
END_COPY: Final = End.COPY
END_COPY_END: Final = End.COPY_END
END_TERMINATE: Final = End.TERMINATE
"""Bound once: a member is looked up through its enum in 60 ns, a constant in 10."""

TAKEN: Final = 0
"""The tag of a Parse whose name the client has already given: the server must refuse it."""


class Item:
    """One message of a batch, with the statement it speaks of."""

    __slots__ = ("message", "name", "prepared", "tag")

    def __init__(self, tag: int, message: bytes, prepared: Prepared | None, name: bytes) -> None:
        self.tag = tag
        self.message = message
        self.prepared = prepared  # of a Parse, Bind, Describe or Close of a statement we know
        self.name = name  # the client's own name for it, b"" where it has none


class Execution:
    """One statement that a request runs."""

    __slots__ = ("described", "max_rows", "prepared", "sql", "tail")

    def __init__(self, sql: bytes | None, prepared: Prepared | None, tail: bytes) -> None:
        self.sql = sql  # None where it is not known
        self.prepared = prepared  # None in the simple protocol
        self.tail = tail  # of the Bind: formats, values, result formats
        self.max_rows = 0
        self.described = prepared is None


_NONE: Final[frozenset[int]] = frozenset()


class Request:
    """What a client wants answered before it reads on. See the module.

    Attributes:
        messages: As they came: tags, and bytes with their headers.
        items: The same, read; empty until then.
        executions: What is run.
        chunk: As received, if it was one chunk and nothing else.
        edited: Whether it names a statement, so that its messages differ on a server connection.
        hidden: Places of statements in a simple query that are not the client's.
        is_foreign: Whether it uses a statement of other constants than what is set now.
        prepares_late: Whether it prepares something behind what it runs.
        undo: Names to be restored on an error.
        is_cut: Whether of its last message, a large one, only the beginning is there.
        streams: Whether the rest of that follows in pieces.
    """

    __slots__ = (
        "chunk",
        "edited",
        "end",
        "executions",
        "hidden",
        "is_cut",
        "is_foreign",
        "items",
        "messages",
        "prepares_late",
        "simple",
        "size",
        "streams",
        "undo",
    )

    def __init__(self, end: End, items: list[Item]) -> None:
        self.end = end
        self.messages: list[tuple[int, bytes]] = []
        self.items = items
        self.simple = False
        self.executions: list[Execution] = []
        self.chunk: bytes | None = None
        self.edited = False
        self.hidden = _NONE
        self.undo: list[tuple[bytes, Prepared | None]] = []
        self.size = 0
        self.is_cut = False
        self.is_foreign = False
        self.prepares_late = False
        self.streams = False

    @property
    def executes(self) -> bool:
        """Whether anything is run, as opposed to prepared, described or closed."""
        return bool(self.executions)

    def behind(self, place: int) -> Request:
        """What is left of a batch whose first statement is answered by itself.

        Args:
            place: Of the first item that is left; what stands in front of it runs one statement.
        """
        rest = Request(self.end, self.items[place:])
        rest.executions = self.executions[1:]
        rest.undo = self.undo[sum(item.tag == tags.PARSE for item in self.items[:place]) :]
        rest.is_foreign = self.is_foreign
        rest.edited = must_be_edited(rest.items)
        return rest

    def say_instead(self, sql: bytes, hidden: frozenset[int]) -> None:
        """Send another text than this simple query's: the client's, with statements of ours."""
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


def must_be_edited(items: Sequence[Item]) -> bool:
    """Tell if a request's messages can't be sent as they came: it names statements, perhaps."""
    if len(items) == 1 and items[0].tag != tags.BIND:
        return False
    return any(
        item.name or item.tag in _TRACKED or (item.tag == tags.PARSE and place)
        for place, item in enumerate(items)
    )


_TRACKED: Final = frozenset((TAKEN, tags.CLOSE, tags.QUERY, tags.FUNCTION_CALL))
"""What makes the answers of a batch be told apart: a Close may be of the unnamed statement, and an
error in front of a Query makes the server pass over it. So does a second Parse: which one failed
decides what is left."""
