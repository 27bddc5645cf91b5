"""The client's side of a session: its requests in line, and large messages poured on.

Requests wait here until they are taken up, one at a time; whether the next may be is not decided
here (`taking`). Of a message too large to be gathered the beginning is a request like any other,
and the rest is poured to wherever that was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import final

from proxy.session.ports import Link
from proxy.wire.client import Cutter
from proxy.wire.requests import Request


@final
class Intake:
    """See the module.

    Attributes:
        queue: Requests that wait, first come first.
        queued: How many bytes they have.
        is_skipping: Whether everything up to a Sync is dropped, after an error in an open batch.
        is_pouring: Whether a large message's request is being served, and the rest may follow.
        sink: The connection that has a large message in part.
    """

    __slots__ = ("_cutter", "is_pouring", "is_skipping", "queue", "queued", "sink")

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self.queue: deque[Request] = deque()
        self.queued = 0
        self.is_skipping = False
        self.is_pouring = False
        self.sink: Link | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes from the client.

        Raises:
            RemoteProtocolError: They are not the protocol's.
        """
        cutter = self._cutter
        requests = cutter.feed(data)
        if not requests:
            if cutter.is_streaming:
                self._pour()
            return
        self._append(requests)

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request has come without the rest of it."""
        return self._cutter.is_between

    def is_full(self, limit: int) -> bool:
        """Tell if the client must be held back: too much waits, or what can't go on yet."""
        return self.queued > limit or (not self.is_pouring and self._cutter.is_streaming)

    def pour_into(self, link: Link | None) -> None:
        """Pass on the rest of a large message whose beginning was sent; None: drop it."""
        self.is_pouring = True
        self.sink = link
        self._pour()

    def skip(self) -> None:
        """Drop everything up to a Sync, as a server does behind an error in an open batch."""
        self.is_skipping = True

    def lose(self, link: Link) -> None:
        """A connection is gone: what was poured into it is dropped."""
        if self.sink is link:
            self.sink = None

    def clear(self) -> None:
        """The client is gone: nothing that waits is wanted."""
        self.queue.clear()
        self.queued = 0

    def _append(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.queue.append(request)
            self.queued += request.size

    def _pour(self) -> None:
        """Pass on what has come of a large message."""
        cutter = self._cutter
        while cutter.is_streaming and self.is_pouring:
            piece = cutter.take()
            if not piece:
                return
            if self.sink is not None:
                self.sink.write(piece)
            if not cutter.is_streaming:
                self.is_pouring = False
                self.sink = None
                self._append(cutter.feed(b""))
