"""What a client's bytes are wrapped in between its socket and its session: TLS, compression."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Wrapping(ABC):
    """One layer around a conversation, with what is below it."""

    __slots__ = ()

    @property
    def holds_more(self) -> bool:
        """Whether there is more to be handed out of what has come: `receive(b"")` has it."""
        return False

    @property
    def is_over(self) -> bool:
        """Whether the peer has said that nothing follows."""
        return False

    @abstractmethod
    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came; returns what it says, and what must be sent in answer.

        Raises:
            OSError: The peer does not speak what was agreed; `pending` may tell it why.
            RemoteProtocolError: The same, and the peer can be told in its protocol.
        """

    @abstractmethod
    def send(self, data: bytes) -> bytes:
        """Wrap; returns what must be sent."""

    @abstractmethod
    def goodbye(self) -> bytes:
        """What must be sent last."""

    @abstractmethod
    def pending(self) -> bytes:
        """What must be sent even though nothing was asked for."""
