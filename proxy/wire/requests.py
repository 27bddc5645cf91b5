"""What a client wants answered before it reads on, whatever its protocol.

Sessions know a request by what it runs and how it ends; what it is made of is known to the engine
that has cut it. So are the answers to it: what of them is kept by the cache, and how a kept result
becomes an answer again, is asked of the request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from enum import Enum, unique
from typing import Final, NamedTuple

from proxy.errors import ClientVisibleError
from proxy.wire.prepared import Prepared


@unique
class End(Enum):
    """How a request ends."""

    READY = "ready"  # the server's answer says that it waits for the next request
    OPEN = "open"  # more of the same batch follows: a Flush, or a batch cut for its size
    COPY = "copy"  # a piece of data to be copied; answered by nothing
    COPY_END = "copy_end"  # the end of such data, or its failure
    TERMINATE = "terminate"
    SESSION = "session"  # the client's session ends, and its shell goes on by itself


END_READY: Final = End.READY
END_OPEN: Final = End.OPEN
END_COPY: Final = End.COPY
END_COPY_END: Final = End.COPY_END
END_TERMINATE: Final = End.TERMINATE
END_SESSION: Final = End.SESSION
"""Bound once: a member is looked up through its enum in 60 ns, a constant in 10."""


class Kept(NamedTuple):
    """A result without what is around it. `columns` is empty where nobody asked for them."""

    columns: bytes
    rows: bytes


class Execution:
    """One statement that a request runs.

    Attributes:
        sql: None where it is not known.
        prepared: None where the text comes with the request.
        tail: All that shapes the answer beside the text: formats and values of parameters.
        max_rows: How many are asked for at once; 0: all.
        described: Whether the answer says what the columns are.
        is_plain: Whether there are no parameters to be looked at.
    """

    __slots__ = ("described", "is_plain", "max_rows", "prepared", "sql", "tail")

    def __init__(
        self, sql: bytes | None, prepared: Prepared | None, tail: bytes, *, is_plain: bool
    ) -> None:
        self.sql = sql
        self.prepared = prepared
        self.tail = tail
        self.max_rows = 0
        self.described = prepared is None
        self.is_plain = is_plain

    def values(self) -> Sequence[bytes | None]:
        """What is bound to the parameters, as it came."""
        return ()

    def saying(self, sql: bytes) -> Execution:
        """The same with another text, to be asked about and not to be run."""
        other = Execution(sql, self.prepared, self.tail, is_plain=self.is_plain)
        other.max_rows = self.max_rows
        return other


_NONE: Final[frozenset[int]] = frozenset()


class Request(ABC):
    """What a client wants answered before it reads on. See the module.

    Attributes:
        executions: What is run.
        simple: Whether it is a text to be run, as opposed to what was prepared.
        chunk: As received, if it was one chunk and nothing else.
        size: Bytes, as they came.
        hidden: Places of statements in a text that are not the client's.
        is_foreign: Whether it uses a statement of other constants than what is set now.
        prepares_late: Whether it prepares something behind what it runs.
        refusal: Why it can't be served, where that is known from its own words.
        undo: What the client's names stood for, to be restored on an error.
        is_cut: Whether of its last message, a large one, only the beginning is there.
        streams: Whether the rest of that follows in pieces.
    """

    __slots__ = (
        "chunk",
        "end",
        "executions",
        "hidden",
        "is_cut",
        "is_foreign",
        "prepares_late",
        "refusal",
        "simple",
        "size",
        "streams",
        "undo",
    )

    def __init__(self, end: End) -> None:
        self.end = end
        self.simple = False
        self.executions: list[Execution] = []
        self.chunk: bytes | None = None
        self.hidden = _NONE
        self.undo: list[tuple[bytes, Prepared | None]] = []
        self.size = 0
        self.is_cut = False
        self.is_foreign = False
        self.prepares_late = False
        self.refusal: ClientVisibleError | None = None
        self.streams = False

    @property
    def executes(self) -> bool:
        """Whether anything is run, as opposed to prepared, described or closed."""
        return bool(self.executions)

    @abstractmethod
    def mentions(self) -> Iterable[Prepared]:
        """The prepared statements that it makes, describes or runs."""

    # What a session must know of its form.

    @property
    @abstractmethod
    def asks_for_ready(self) -> bool:
        """Whether it asks for nothing but the word that the server is ready."""

    @property
    @abstractmethod
    def asks_nothing(self) -> bool:
        """Whether there is nothing to answer at all."""

    @property
    def takes_link(self) -> bool:
        """Whether it ends the session and goes on with the server connection of that."""
        return False

    @property
    @abstractmethod
    def ends_batch(self) -> bool:
        """Whether it ends an open batch, and with that what is skipped behind an error in it."""

    @property
    @abstractmethod
    def only_prepares(self) -> bool:
        """Whether it is an open batch that runs nothing so far, and may be ended unnoticed."""

    @property
    @abstractmethod
    def is_one_text(self) -> bool:
        """Whether it is a text to be run, all of it is here, and nothing else."""

    @abstractmethod
    def unfit_for_copy(self) -> str:
        """Say what may not come while a server waits for data to be copied; empty: nothing."""

    @property
    @abstractmethod
    def leaves_no_cursor(self) -> bool:
        """Whether no cursor of it outlives the next request."""

    @property
    @abstractmethod
    def only_reads(self) -> bool:
        """Whether it runs one statement and does nothing else that a server must know or judge."""

    @property
    @abstractmethod
    def has_parameters(self) -> bool:
        """Whether the first statement that it runs has parameters."""

    @abstractmethod
    def split(self) -> tuple[Request, Request] | None:
        """Part the first of its statements from the rest, if that has no parameters."""

    @abstractmethod
    def say_instead(self, sql: bytes, hidden: frozenset[int]) -> None:
        """Send another text than this one: the client's, with statements of ours."""

    # What becomes of its answer.

    @abstractmethod
    def take_apart(self, reply: bytes) -> Kept | None:
        """Keep the result in a whole reply; None where there is something else in it."""

    @abstractmethod
    def put_together(self, kept: Kept) -> bytes | None:
        """Make the reply out of a kept result; None where something is missing."""

    @abstractmethod
    def rows_in(self, reply: bytes) -> list[bytes]:
        """Take the rows out of a whole reply, each as its values were said and nothing else.

        What is around them may rightly be said otherwise by another server, or another time:
        numbers of packets, of tables, warnings, how the transaction stands.

        Raises:
            RemoteProtocolError: It is not whole.
        """

    @property
    @abstractmethod
    def is_self_contained(self) -> bool:
        """Whether its bytes say everything, so that the same bytes mean the same to everybody."""

    @abstractmethod
    def named_key(self) -> tuple[bytes, Prepared, bytes] | None:
        """What an exact repetition is found by, where it runs a statement by a name of the client.

        Returns:
            The name, what it stands for, and the bytes that follow the name.
        """
