"""What a server says between a client's first answer and the OK or ERR that ends a login.

Source: "Protocol::AuthSwitchRequest" and "Protocol::AuthMoreData" in the MySQL source
documentation.
"""

from __future__ import annotations

from typing import Final

from proxy.errors import RemoteProtocolError

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
