"""The server's side of a conversation: requests out, answers in, whatever the protocol.

An `Exchange` belongs to one server connection. It turns a request into what must be sent on *this*
connection, and the server's bytes into what may go on to the client, with the facts that matter
pointed out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum, unique
from typing import NamedTuple

from proxy.wire.prepared import Prepared
from proxy.wire.requests import Request
from proxy.wire.status import IDLE


@unique
class Prelude(Enum):
    """What was sent in front of a request, and must be answered before it."""

    STATE = "state"  # the client's settings; an error there is the client's answer
    POSITION = "position"  # has this replica replayed what the read must see?


class Heard(NamedTuple):
    """What a server says in its answer to a question of our own, and a client must hear."""

    refused: bytes | None  # an error: the transaction has failed
    notices: bytes
    reports: bytes  # of settings


class Exchange(ABC):
    """One server connection's protocol state. See the module.

    After `feed`, the facts about the request in flight are in the public attributes.

    Attributes:
        status: How the transaction on the connection stands.
        done: Whether the server is ready for the next request.
        plain: Whether there is nothing in the answer but the answer: no notice, no setting.
        error: The first error in it, as it came.
        state_error: Whether that came while the client's settings were applied.
        position_missing: Whether the replica is behind: the answer was thrown away.
        tags: What was done, one for each statement, in order.
        rows: Of a question of our own.
        reported: Of settings, in the answer to one.
        notices: In the answer to one.
        confirmed: Entries of the request's undo list that are true on the server.
        unnamed_is_lost: Whether an unnamed statement failed that was to replace another.
        copying_in: Whether the server waits for data from the client.
        copy_sequence: The number of its first packet, where packets are numbered.
        wants_sync: Whether only the end of a batch, which was not sent yet, ends the request.
        asynchronous: What the server said to nobody's question, for whoever is pinned here.
        farewell: An error in answer to nothing that was asked.
    """

    __slots__ = (
        "asynchronous",
        "confirmed",
        "copy_sequence",
        "copying_in",
        "done",
        "error",
        "farewell",
        "notices",
        "plain",
        "position_missing",
        "reported",
        "rows",
        "state_error",
        "status",
        "tags",
        "unnamed_is_lost",
        "wants_sync",
    )

    def __init__(self) -> None:
        self.status = IDLE
        self.done = True
        self.plain = True
        self.error: bytes | None = None
        self.state_error = False
        self.position_missing = False
        self.tags: list[bytes] = []
        self.rows: list[list[bytes | None]] = []
        self.reported = b""
        self.notices = b""
        self.confirmed = 0
        self.unnamed_is_lost = False
        self.copying_in = False
        self.copy_sequence = 0
        self.wants_sync = False
        self.asynchronous = b""
        self.farewell: bytes | None = None

    @property
    def heard(self) -> Heard | None:
        """What a client must hear of the answer to a question; None: nothing."""
        heard = Heard(self.error, self.notices, self.reported)
        return heard if any(heard) else None

    # Sending.

    @abstractmethod
    def prelude(self, prelude: Prelude, sql: bytes) -> bytes:
        """Send `sql` in front of the request that `begin` comes with; its answer is kept back."""

    @abstractmethod
    def ask(self, sql: bytes) -> bytes:
        """Ask a question of our own: nothing of its answer goes on, `rows` will hold it."""

    @abstractmethod
    def reset(self) -> bytes:
        """Have the session be as at login; nothing of the answer goes on."""

    @abstractmethod
    def prepare(self, sql: bytes, statements: Iterable[Prepared]) -> bytes:
        """Prepare statements under settings that `sql` makes; nothing of the answer goes on."""

    @abstractmethod
    def begin(self, request: Request, *, sync: bool = False, keeps_end: bool = False) -> bytes:
        """Start a request; returns what is to be sent.

        Args:
            request: The previous one must be `done`.
            sync: End an open batch here, so that the server is ready for others; the client hears
                nothing of it.
            keeps_end: Keep the end of the answer back, for `take_end`. It must be whole in itself
                what the client is told of a commit.
        """

    @abstractmethod
    def take_end(self) -> bytes:
        """Hand out the end of the answer that was kept back."""

    @abstractmethod
    def go_on(self, request: Request) -> bytes:
        """Send the next part of a batch that began as an open one."""

    @abstractmethod
    def end_batch(self) -> bytes:
        """End an open batch behind an error in it; what is left of it is passed over."""

    @abstractmethod
    def give_up(self, *, is_open: bool) -> bytes | None:
        """Say what ends the request of a client that is gone, and commits nothing.

        Args:
            is_open: Whether it is a batch whose end has not been sent.

        Returns:
            None: nothing does but to hang up.
        """

    @abstractmethod
    def copy(self, request: Request) -> bytes:
        """Send data to be copied, or its end. A server that expects none passes over it."""

    @abstractmethod
    def discard(self) -> None:
        """Throw away the rest of the answer: the client gets another one."""

    # Receiving.

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take what the server sent and return what goes on to the client.

        Raises:
            RemoteProtocolError: The server said something the protocol does not know.
        """

    @abstractmethod
    def idle_feed(self, data: bytes) -> None:
        """Take what the server sent while nothing was asked of it.

        Raises:
            RemoteProtocolError: The server said something it may not say now.
        """

    @abstractmethod
    def say_at_once(self) -> bytes:
        """What the client is told when the server will not say anything, since all is known."""

    # What is prepared on the connection.

    @abstractmethod
    def must_prepare(self, request: Request) -> list[Prepared]:
        """List what must be prepared here before a request can be said at all."""

    @abstractmethod
    def lacking(self, request: Request) -> list[Prepared]:
        """List what a request uses by name that is not here, and whose sense is known."""

    @abstractmethod
    def doubt(self, is_in_doubt: bool, /) -> None:
        """Say whether texts mean on this connection what is thought."""

    @abstractmethod
    def keep_statements(self, names: frozenset[bytes]) -> None:
        """Of what is prepared on the connection only these are there, by their names."""

    @abstractmethod
    def forget_statements(self) -> None:
        """What was prepared on the connection is gone."""

    # What an error means.

    @property
    @abstractmethod
    def was_canceled(self) -> bool:
        """Whether the statement was stopped because somebody asked, or as it took too long."""

    @property
    @abstractmethod
    def ran_nothing(self) -> bool:
        """Whether its error says for sure that nothing of the last request was run, where texts
        are what they look like to us."""

    @property
    @abstractmethod
    def said_goodbye(self) -> bool:
        """Whether the server has said why it hangs up: a second error would hide that."""

    @property
    @abstractmethod
    def wants_new_texts(self) -> bool:
        """Whether a prepared statement was refused since its result has other columns now."""

    @abstractmethod
    def has_snapshot(self, request: Request, passed: bytes) -> bool:
        """Tell if the beginning of an answer proves that the snapshot of its read was taken."""
