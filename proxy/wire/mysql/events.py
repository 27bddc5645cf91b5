"""What a dialogue of the connection phase needs of the shell that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique


@unique
class Encryption(Enum):
    """Whether TLS is spoken."""

    NEVER = "never"
    OFFERED = "offered"
    REQUIRED = "required"


@dataclass(slots=True)
class TlsBegins:
    """Tells the shell to wrap the connection.

    `answer` goes out in the open first. `received` is the beginning of the handshake, where it
    came already: a client that has asked for TLS waits for no answer. A server's side sends what
    came decrypted next; a client's side sends nothing (b"") when the handshake is done.
    """

    answer: bytes = b""
    received: bytes = b""


@dataclass(slots=True)
class PasswordGiven:
    """Asks the shell if a server lets this user in with this password.

    The shell sets `accepted` and sends nothing (b""); what else goes wrong it raises by itself.
    """

    user: bytes
    password: bytes = field(repr=False)
    accepted: bool = False
