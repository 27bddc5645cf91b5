"""What a visitor is told, who has no socket: where each of its answers ends."""

from __future__ import annotations

from collections import deque
from typing import final

from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import STATUS_IN_TRANS
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.replies import ReplyReader
from proxy.wire.status import IDLE, IN_TRANSACTION


@final
class Answers:
    """See `proxy.runtime.engine.Answers`.

    Args:
        agreed: The capabilities of the visitor's connection, if it had one.
    """

    __slots__ = ("_asked", "_reader")

    def __init__(self, agreed: int) -> None:
        self._reader = ReplyReader(agreed)
        self._asked: deque[int] = deque()

    def ask(self, data: bytes) -> None:
        """See the base: commands, the answers to which are one."""
        pos = 0
        while pos < len(data):
            command = data[pos + HEADER]
            if command not in commands.UNANSWERED:
                self._asked.append(command)
            pos += HEADER + int.from_bytes(data[pos : pos + 3], "little")
        if self._reader.done:
            self._reader.expect(self._asked.popleft())

    def feed(self, data: bytes) -> list[int | None]:
        """See the base."""
        reader = self._reader
        if reader.done:
            return []  # a farewell
        found: list[int | None] = []
        reader.feed(data)
        while reader.done:
            if reader.error:
                found.append(None)
            if not self._asked:
                found.append(IN_TRANSACTION if reader.status & STATUS_IN_TRANS else IDLE)
                break
            reader.expect(self._asked.popleft())
            if reader.has_rest:
                reader.feed(b"")
        return found
