"""What a fleet needs of whatever carries its words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from proxy.observe.metrics import BusCounts


class Channel(NamedTuple):
    """Where the members of a fleet talk about one server group, and nobody else is heard."""

    fleet: str
    group: str


class Listener(Protocol):
    """A member, as the bus knows it. Neither may raise or wait."""

    def heard(self, message: bytes) -> None:
        """Take a message, to all or to this member."""

    def broken(self) -> None:
        """The bus was away, for whatever time: nobody knows what was missed."""


class Bus(ABC):
    """One for the process, whatever the number of its server groups.

    Messages may be lost, late, repeated, and overtaken by those of other senders. Those of one
    sender come in the order in which they were sent, over one life of a connection; between two of
    them stands `broken`, in front of the first message of the second.

    Attributes:
        counts: What went through.
    """

    def __init__(self) -> None:
        self.counts = BusCounts()

    @abstractmethod
    async def open(self) -> None:
        """Begin. It need not be there yet: it is looked for until it is.

        Raises:
            CannotListen: Something is wrong here that no waiting mends.
        """

    @abstractmethod
    def join(self, channel: Channel, member: str, listener: Listener) -> None:
        """Listen to a channel, from soon on: what is said to all, and to the member."""

    @abstractmethod
    def leave(self, channel: Channel) -> None:
        """Hear no more of it from now on."""

    @abstractmethod
    def publish(self, channel: Channel, message: bytes) -> None:
        """Send to all others, or to nobody while the bus is away. Nothing is waited for."""

    @abstractmethod
    def tell(self, channel: Channel, member: str, message: bytes) -> None:
        """Send to one of them, as `publish`."""

    @abstractmethod
    async def close(self) -> None:
        """End. What was sent in this turn of the loop still goes out, if it can at once."""
