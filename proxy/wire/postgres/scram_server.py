"""The server's side of SCRAM: check a client, and learn from its proof the key it proved.

Messages without their PostgreSQL headers; words of errors are PostgreSQL's (auth-scram.c).
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from proxy.errors import InvalidAuthorization, RemoteProtocolError, Unsupported
from proxy.wire.postgres.scram import (
    BINDING_TYPE,
    KEY_SIZE,
    SCRAM_PLUS,
    Verifier,
    sign,
    stored_key,
    try_decode,
    xor,
)

_FIRST: Final = re.compile(rb"(n|y|p=([^,]*)),([^,]*),(.*)", re.DOTALL)
_FIRST_BARE: Final = re.compile(rb"n=[^,]*,r=([^,]*)(,.*)?", re.DOTALL)
_FINAL: Final = re.compile(rb"c=([^,]*),r=([^,]*)(,.*)?", re.DOTALL)
_NONCE: Final = re.compile(rb"[!-+\--~]+")


@dataclass(slots=True)
class Proven:
    """A client that knows its password: its key, and the signature that answers it."""

    client_key: bytes
    server_final: bytes


@dataclass(slots=True)
class _First:
    """What a client-first-message says."""

    header: bytes  # what channel binding it wants, and who else it would like to be
    bare: bytes  # the part that is signed
    nonce: bytes


def server_exchange(
    verifier: Verifier, mechanism: bytes, nonce: bytes, binding: bytes | None
) -> Generator[bytes, bytes, Proven | None]:
    """Check one client. Yields nothing, then the server-first-message; is sent the client's two.

    Args:
        verifier: The user's own, or a `mock_verifier`.
        mechanism: The one that the client chose.
        nonce: Fresh and random: printable ASCII without a comma, such as base64 of 18 bytes.
        binding: The hash of our certificate when TLS is spoken and -PLUS was offered.

    Returns:
        What was proven; None when the password is wrong.

    Raises:
        RemoteProtocolError, InvalidAuthorization, Unsupported: The messages are not as they
            should be, which says nothing of the password.
    """
    first = _read_first((yield b""), plus=mechanism == SCRAM_PLUS, can_bind=binding is not None)
    full_nonce = first.nonce + nonce
    server_first = b"r=%b,s=%b,i=%d" % (full_nonce, b64encode(verifier.salt), verifier.iterations)
    unproven, proof = _read_final((yield server_first), first, full_nonce, binding or b"")
    signed = b",".join((first.bare, server_first, unproven))
    client_key = xor(proof, sign(verifier.stored_key, signed))
    if not hmac.compare_digest(stored_key(client_key), verifier.stored_key):
        return None
    return Proven(client_key, b"v=" + b64encode(sign(verifier.server_key, signed)))


def _read_first(message: bytes, *, plus: bool, can_bind: bool) -> _First:
    match = _FIRST.fullmatch(message)
    if match is None:
        raise _malformed("The message does not begin with a channel-binding flag.")
    flag, binding_type, identity, bare = match.groups()
    _check_flag(flag, binding_type, plus=plus, can_bind=can_bind)
    if identity:
        raise Unsupported("client uses authorization identity, but it is not supported")
    if bare.startswith(b"m="):
        raise Unsupported("client requires an unsupported SCRAM extension")
    match = _FIRST_BARE.fullmatch(bare)
    if match is None:
        raise _malformed("The message lacks a user name or a nonce.")
    if not _NONCE.fullmatch(match[1]):
        raise RemoteProtocolError("non-printable characters in SCRAM nonce")
    return _First(flag + b",,", bare, match[1])


def _check_flag(flag: bytes, binding_type: bytes | None, *, plus: bool, can_bind: bool) -> None:
    """Refuse a client whose wish for channel binding and choice of mechanism disagree."""
    if flag == b"y" and can_bind:
        # Somebody in the middle took -PLUS out of the list that we sent.
        raise InvalidAuthorization(
            "SCRAM channel binding negotiation error",
            detail="The client supports SCRAM channel binding but thinks the server does not."
            "  However, this server does support channel binding.",
        )
    if binding_type is None:
        if plus:
            raise _malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include"
                " channel binding data."
            )
    elif not plus:
        raise _malformed(
            "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message"
            " includes channel binding data."
        )
    elif binding_type != BINDING_TYPE:
        shown = binding_type.decode("utf-8", "surrogateescape")
        raise RemoteProtocolError(f'unsupported SCRAM channel-binding type "{shown}"')


def _read_final(message: bytes, first: _First, nonce: bytes, binding: bytes) -> tuple[bytes, bytes]:
    """The client-final-message without its proof, and the proof."""
    unproven, _, encoded = message.rpartition(b",p=")
    match = _FINAL.fullmatch(unproven)
    if match is None:
        raise _malformed("The message lacks its channel binding, its nonce or its proof.")
    if first.header.startswith(b"p"):
        if not hmac.compare_digest(match[1], b64encode(first.header + binding)):
            raise InvalidAuthorization("SCRAM channel binding check failed")
    elif match[1] != b64encode(first.header):
        raise RemoteProtocolError(
            "unexpected SCRAM channel-binding attribute in client-final-message"
        )
    if not hmac.compare_digest(match[2], nonce):
        raise RemoteProtocolError("invalid SCRAM response", detail="Nonce does not match.")
    proof = try_decode(encoded)
    if proof is None or len(proof) != KEY_SIZE:
        raise _malformed("Malformed proof in client-final-message.")
    return unproven, proof


def _malformed(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError("malformed SCRAM message", detail=detail)
