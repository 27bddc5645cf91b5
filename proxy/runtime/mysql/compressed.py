"""A client's conversation in the compressed protocol, over TLS perhaps."""

from __future__ import annotations

from typing import final

from proxy.runtime.wrapping import Wrapping
from proxy.wire.mysql.compression import Compression, Gatherer


@final
class Compressed(Wrapping):
    """See the module.

    Args:
        compression: What was agreed.

    Attributes:
        below: What the compressed bytes are wrapped in; None: nothing.
    """

    __slots__ = ("_compression", "_gatherer", "below")

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._gatherer = Gatherer()
        self.below: Wrapping | None = None

    @property
    def holds_more(self) -> bool:
        """See the base: a little data may stand for very much."""
        return self._compression.holds_more

    @property
    def is_over(self) -> bool:
        """See the base."""
        return self.below is not None and self.below.is_over

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """See the base."""
        answer = b""
        if self.below is not None and data:
            data, answer = self.below.receive(data)
        return self._compression.feed(data), answer

    def send(self, data: bytes) -> bytes:
        """See the base."""
        data = b"".join(map(self._compression.compress, self._gatherer.gather(data)))
        return data if self.below is None else self.below.send(data)

    def goodbye(self) -> bytes:
        """See the base."""
        return b"" if self.below is None else self.below.goodbye()

    def pending(self) -> bytes:
        """See the base."""
        return b"" if self.below is None else self.below.pending()
