"""The client's side of a conversation: bytes cut into requests, and what they speak of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from proxy.wire.prepared import AS_AT_LOGIN, Library, Prepared, Sense
from proxy.wire.requests import Execution, Request


class Cutter(ABC):
    """Cuts a client's bytes into requests, in their order.

    What they say is not looked at here: what a name means depends on what is in front of it, and
    that may not be done yet. `feed` raises for what the client sent nothing but
    `RemoteProtocolError`, and nothing can be fed after that.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def is_between(self) -> bool:
        """Whether nothing of a request has come without the rest of it."""

    @property
    @abstractmethod
    def is_streaming(self) -> bool:
        """Whether a large message is being passed through; `take` has its pieces."""

    @abstractmethod
    def take(self) -> bytes:
        """Hand out what has come of the large message. `feed(b"")` goes on behind it."""

    @abstractmethod
    def feed(self, data: bytes) -> Sequence[Request]:
        """Take what the client sent and return the requests that are complete.

        Raises:
            RemoteProtocolError: The client said something the protocol does not know.
        """


class ClientEngine(ABC):
    """Reads a client's requests, and remembers what it prepared.

    `read` raises for what the client sent nothing but `RemoteProtocolError`, and nothing can be
    read after that.

    Attributes:
        cutter: Of this client's bytes.
        sense: What the client has set, as far as texts depend on it; None: nobody knows.
        cursors: What its named cursors run, since the transaction began, by the statement.
        say_instead: Says a text that is prepared as it must be said on a shared connection.
    """

    __slots__ = ("_library", "_owner", "cursors", "cutter", "say_instead", "sense")

    def __init__(self, library: Library, cutter: Cutter) -> None:
        self._library = library
        self._owner = 0  # of the definitions that it sees
        self.cutter = cutter
        self.cursors: dict[Prepared | None, Execution] = {}
        self.sense: Sense | None = AS_AT_LOGIN
        self.say_instead: Callable[[bytes], bytes] | None = None

    @abstractmethod
    def read(self, request: Request) -> None:
        """Say what a request speaks of. To be called once, in the requests' order.

        Raises:
            RemoteProtocolError: A message is not what it says it is.
        """

    @abstractmethod
    def read_again(self, request: Request) -> None:
        """Read a request whose texts may depend on what it sets itself: nobody knows how."""

    def expect_copy(self, sequence: int) -> None:
        """What the client sends now is data to be copied, which a server waits for.

        Args:
            sequence: The number of its first packet, where packets are numbered.
        """
        return

    @abstractmethod
    def answered(self, request: bytes) -> None:
        """Note a whole request that was answered unread: what it leaves behind."""

    @abstractmethod
    def forget_portals(self) -> None:
        """The transaction is over: so are its cursors."""

    @abstractmethod
    def deallocate(self, name: bytes) -> bool:
        """Forget a statement by its name; False: the client has prepared none under it."""

    @abstractmethod
    def forget_statements(self) -> None:
        """What the client has prepared by the protocol is gone."""

    @abstractmethod
    def undo(self, request: Request, confirmed: int, *, unnamed_is_lost: bool = False) -> None:
        """Take back what `request` prepared beyond the first `confirmed` statements.

        Args:
            request: What failed.
            confirmed: How much of it did not.
            unnamed_is_lost: It failed where a server has dropped the unnamed statement already.
        """

    def forget_texts(self) -> None:
        """What is prepared from now on is new, even where another client has the same text."""
        self._library.forget()

    @property
    def is_apart(self) -> bool:
        """Whether it may see definitions that nobody else does."""
        return self._owner != 0

    def part(self) -> None:
        """Its session has changed a definition, and nobody else sees that."""
        self._owner = self._library.new_owner()

    def rejoin(self) -> None:
        """It sees the definitions that everybody does."""
        self._owner = 0
