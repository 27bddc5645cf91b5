"""The client's side of SCRAM: log in with a password, or with the keys that stand for it.

Messages without their PostgreSQL headers. The server is checked too: one that does not know
the password can't sign the last message.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Generator
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres.scram import (
    BINDING_TYPE,
    MAX_ITERATIONS,
    SCRAM,
    SCRAM_PLUS,
    Keys,
    derive_keys,
    sign,
    stored_key,
    try_decode,
    xor,
)

_SERVER_FIRST: Final = re.compile(rb"r=([!-+\--~]+),s=([^,]+),i=([1-9][0-9]{0,9})(,.*)?", re.DOTALL)


def choose_mechanism(offered: list[bytes], binding: bytes | None) -> tuple[bytes, bytes] | None:
    """The strongest mechanism both sides know, and the header that begins its first message.

    Args:
        offered: What the server lists.
        binding: The hash of the server's certificate, when TLS is spoken.

    Returns:
        None when there is nothing in common.
    """
    if SCRAM_PLUS in offered and binding is not None:
        return SCRAM_PLUS, b"p=" + BINDING_TYPE + b",,"
    if SCRAM in offered:
        # "y": we could have bound, had you offered it. A server that did offer it then knows
        # that somebody in the middle took it out of the list.
        return SCRAM, b"n,," if binding is None else b"y,,"
    return None


def client_exchange(
    secret: bytes | Keys, nonce: bytes, header: bytes, binding: bytes | None
) -> Generator[bytes, bytes, Keys]:
    """Log in. Yields the client's two messages, is sent the server's two.

    Args:
        secret: The password, or the keys recovered from a client that knew it.
        nonce: Fresh and random: printable ASCII without a comma, such as base64 of 18 bytes.
        header: What `choose_mechanism` gave.
        binding: The hash of the server's certificate, when TLS is spoken.

    Returns:
        The keys, which spare the work of deriving them the next time.

    Raises:
        RemoteProtocolError: The server's messages are not as they should be, or it does not
            know the password itself.
    """
    # PostgreSQL goes by the name in the startup packet; the RFC wants one character at least.
    bare = b"n=*,r=" + nonce
    server_first = yield header + bare
    full_nonce, salt, iterations = _read_server_first(server_first, nonce)
    keys = secret if isinstance(secret, Keys) else derive_keys(secret, salt, iterations)
    bound = header + (binding or b"") if header.startswith(b"p") else header
    unproven = b"c=%b,r=%b" % (b64encode(bound), full_nonce)
    signed = b",".join((bare, server_first, unproven))
    proof = xor(keys.client_key, sign(stored_key(keys.client_key), signed))
    server_final = yield b"%b,p=%b" % (unproven, b64encode(proof))
    _check_server_final(server_final, sign(keys.server_key, signed))
    return keys


def _read_server_first(message: bytes, nonce: bytes) -> tuple[bytes, bytes, int]:
    match = _SERVER_FIRST.fullmatch(message)
    salt = try_decode(match[2]) if match else None
    if match is None or salt is None:
        raise RemoteProtocolError("malformed SCRAM message", detail="In server-first-message.")
    full_nonce, iterations = match[1], int(match[3])
    if not full_nonce.startswith(nonce) or full_nonce == nonce:
        raise RemoteProtocolError("invalid SCRAM response", detail="Nonce does not match.")
    if iterations > MAX_ITERATIONS:
        raise RemoteProtocolError(
            f"the server asks for {iterations} SCRAM iterations; {MAX_ITERATIONS} are allowed"
        )
    return full_nonce, salt, iterations


def _check_server_final(message: bytes, expected: bytes) -> None:
    if message.startswith(b"e="):
        reason = message[2:].decode("utf-8", "surrogateescape")
        raise RemoteProtocolError(f"the server ended the SCRAM exchange: {reason}")
    signature = try_decode(message[2:].partition(b",")[0]) if message[:2] == b"v=" else None
    if signature is None:
        raise RemoteProtocolError("malformed SCRAM message", detail="In server-final-message.")
    if not hmac.compare_digest(signature, expected):
        raise RemoteProtocolError("the server's SCRAM signature is wrong: it knows no password")
