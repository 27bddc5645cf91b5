"""What a server says between a client's first answer and the OK or ERR that ends a login.

Source: "Protocol::AuthSwitchRequest", "Protocol::AuthMoreData" and "OK_Packet" in the MySQL source
documentation.
"""

from __future__ import annotations

from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql.capabilities import STATUS_AUTOCOMMIT
from proxy.wire.mysql.codec import read_lenenc_int

OK: Final = 0x00
MORE_DATA: Final = 0x01
NEXT_FACTOR: Final = 0x02
SWITCH: Final = 0xFE


def auth_switch(plugin: bytes, nonce: bytes) -> bytes:
    """Ask for another answer, by another plugin, to another nonce."""
    return b"\xfe" + plugin + b"\0" + nonce + b"\0"


def read_auth_switch(payload: bytes) -> tuple[bytes, bytes]:
    """The plugin and what is meant for it; no plugin is named by a server from before there were.

    Raises:
        RemoteProtocolError: The name does not end.
    """
    if len(payload) == 1:
        return b"", b""
    name, zero, data = payload[1:].partition(b"\0")
    if not zero:
        raise RemoteProtocolError("a request for another plugin ends in its name")
    return name, data


def auth_more(data: bytes) -> bytes:
    """Say something to the plugin at the other end."""
    return b"\x01" + data


def login_ok(status: int = STATUS_AUTOCOMMIT) -> bytes:
    """The OK that lets a client in. It has nothing more to say, whatever was agreed on."""
    return b"\0\0\0" + status.to_bytes(2, "little") + b"\0\0"


def read_ok_status(payload: bytes) -> int:
    """The status flags in an OK.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    _, pos = read_lenenc_int(payload, 1)
    _, pos = read_lenenc_int(payload, pos)
    if len(payload) < pos + 2:
        raise RemoteProtocolError("an OK packet ends before its status")
    return int.from_bytes(payload[pos : pos + 2], "little")
