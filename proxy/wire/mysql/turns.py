"""The numbers of packets in a conversation where each side speaks in turn.

Such are the connection phase and COM_CHANGE_USER. A packet larger than one can be is no part of
either: what does not fit is refused.

Source: "MySQL Packets", "Sequence ID" in the MySQL source documentation.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import ClientVisibleError, MessageTooLarge
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.errors import BadHandshake, OutOfOrder, error_packet

MAX_PACKET: Final = 0x2_0000
"""Bytes of a packet of the connection phase, its header included. Connection attributes may take
64 KiB (client libraries send no more), and so may an answer; names are short."""


@final
class Turns:
    """Numbers what is said, and checks the numbers of what is heard.

    Args:
        next_id: The number of the next packet: 0 in a new connection, 1 behind a command.
        is_41: Whether the client is known to speak protocol 4.1, as all have for twenty years.
    """

    __slots__ = ("is_41", "next_id")

    def __init__(self, next_id: int = 0, *, is_41: bool = False) -> None:
        self.next_id = next_id
        self.is_41 = is_41

    def say(self, payload: bytes) -> bytes:
        """Frame what is said next."""
        framed = packet(self.next_id, payload)
        self.next_id = self.next_id + 1 & 0xFF
        return framed

    def size(self, data: bytes) -> int:
        """The size of the next packet, its header included, which begins with these bytes.

        That it is not the next one shows in its header: nobody waits for the rest.

        Raises:
            RemoteProtocolError: It is not, or larger than any may be here.
        """
        if len(data) >= HEADER and data[3] != self.next_id:
            raise OutOfOrder
        return packet_size(data)

    def hear(self, data: bytes) -> bytes:
        """The payload of a whole packet, which must be the next one.

        Raises:
            RemoteProtocolError: It is not, or it is not whole.
        """
        if self.size(data) != len(data):
            raise BadHandshake("a packet is not whole")
        self.next_id = self.next_id + 1 & 0xFF
        return data[HEADER:]

    def refusal(self, error: ClientVisibleError) -> bytes:
        """Build the ERR that is said next: the last word before the connection is closed."""
        return error_packet(error, self.next_id, is_41=self.is_41)


def packet_size(data: bytes) -> int:
    """The size of the packet, its header included, that begins with these four bytes or more.

    Raises:
        RemoteProtocolError: The header is not whole, or the packet is larger than any may be here.
    """
    if len(data) < HEADER:
        raise BadHandshake("a packet is not whole")
    size = HEADER + int.from_bytes(data[:3], "little")
    if size > MAX_PACKET:
        raise MessageTooLarge(
            f"a packet of {size} bytes during login: at most {MAX_PACKET} are allowed"
        )
    return size
