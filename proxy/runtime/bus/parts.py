"""Messages in parts, each of which says in front who sent it: Redis gives everybody its own, too.

A long message goes in parts, each of which is a sign of life: however slow the network, it arrives.
"""

from __future__ import annotations

from typing import Final, final

from proxy.freshness.codec import LONGEST

PART: Final = 32 * 2**10
"""Bytes of a message that are sent at once: half a second of 0.5 Mbit/s."""

SENDER_BYTES: Final = 8
HEAD_BYTES: Final = SENDER_BYTES + 1

FIRST: Final = 1
LAST: Final = 2


@final
class Parts:
    """Takes messages apart, and puts those of others together again.

    Args:
        sender: `SENDER_BYTES` that nobody else has.
    """

    def __init__(self, sender: bytes) -> None:
        self._sender = sender
        self._only = sender + bytes([FIRST | LAST])  # the head of a message in one part
        self._begun: dict[tuple[bytes, bytes], list[bytes]] = {}  # by where it is said, and by whom

    def of(self, message: bytes) -> list[bytes]:
        """Take a message apart."""
        size = len(message)
        if size <= PART:
            return [self._only + message]
        parts: list[bytes] = []
        for place in range(0, size, PART):
            flags = (FIRST if not place else 0) | (LAST if place + PART >= size else 0)
            parts.append(self._sender + bytes([flags]) + message[place : place + PART])
        return parts

    def whole(self, name: bytes, part: bytes) -> bytes | None:
        """Put a message together.

        Args:
            name: Where it is said.
            part: Of it.

        Returns:
            None: there is more to come, or its beginning was missed, or it is our own.
        """
        if len(part) < HEAD_BYTES or part.startswith(self._sender):
            return None
        flags, content = part[SENDER_BYTES], part[HEAD_BYTES:]
        if flags == FIRST | LAST:
            return content
        key = name, part[:SENDER_BYTES]
        if flags & FIRST:
            self._begun[key] = []
        parts = self._begun.get(key)
        if parts is None:
            return None
        parts.append(content)
        if flags & LAST:
            del self._begun[key]
            return b"".join(parts)
        if len(parts) * PART > LONGEST:
            del self._begun[key]
        return None

    def forget(self) -> None:
        """What has begun will not be continued."""
        self._begun.clear()
