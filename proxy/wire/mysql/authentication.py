"""Let a client prove who it is, and learn what logs in to the servers in its name.

A dialogue with one next step, so a generator: it yields what to send, or a `PasswordGiven` for the
shell to find out; is sent each packet of the client, whole; and returns an `Authenticated`. The OK
is not sent by it: whether there is such a database comes before. COM_CHANGE_USER has the same
dialogue. Failing raises `AccessDenied`, in MySQL's words.

Nobody learns here who has an account. Whoever has none is asked by a plugin that accounts have,
the same one each time, and gets to the end of its dialogue; a wrong password leads the same way
whether or not the right one was seen before.

Sources: "Authentication Method" and "Caching_sha2_password information" in the MySQL source
documentation.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.wire.mysql.auth_messages import auth_more, auth_switch
from proxy.wire.mysql.credentials import Credentials, Stored
from proxy.wire.mysql.errors import AccessDenied, OldClient
from proxy.wire.mysql.events import PasswordGiven
from proxy.wire.mysql.scramble import (
    NATIVE,
    SHA2,
    SHA2_SIZE,
    find_native_key,
    find_sha2_key,
    sha2_check,
    sha2_key,
)
from proxy.wire.mysql.sha_crypt import ShaVerifier
from proxy.wire.mysql.startup import First
from proxy.wire.mysql.turns import Turns

FAST_AUTH_OK: Final = auth_more(b"\x03")
FULL_AUTH: Final = auth_more(b"\x04")

_WANTS_KEY: Final = b"\x02"
_NO_PASSWORD: Final = (b"", b"\0")
_DECOY: Final = Stored(SHA2, bytes(ShaVerifier(b"-" * 20, b"-" * 43, 5000)))


class PasswordKey(Protocol):
    """What clients without TLS encrypt their passwords with; `scramble` has one."""

    @property
    def public(self) -> bytes:
        """The public key (PEM)."""

    def decrypt(self, data: bytes, nonce: bytes) -> bytes | None:
        """The password with its zero; None: it was not encrypted with this key."""


class KnownChecks(Protocol):
    """Who has shown the password itself; `verified` has them."""

    def find(self, user: bytes, stored: Stored, now: float) -> bytes | None:
        """Find the check of a user, if what is stored of the password is still the same."""

    def remember(self, user: bytes, stored: Stored, check: bytes, now: float) -> None:
        """A user has shown the password itself, and it was right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A client that says who it is, and what there is to judge it by.

    Args:
        user: The name it gave.
        host: Where it comes from, as it is shown in an account's name.
        stored: What is stored of the account's password; None: there is no such account.
        nonce: Of the greeting, for as long as the connection lasts. Servers send it again when they
            ask for another plugin, and it has to be that one: behind a COM_CHANGE_USER, client
            libraries answer by `mysql_native_password` without looking at what was sent.
        first: What it has said to prove itself. None behind a COM_CHANGE_USER, if it can switch:
            servers do not look at what is said there, and libraries may say nothing, to be asked.
        can_switch: Whether it can be asked to use another plugin.
        is_private: Whether nobody can listen: TLS, or a Unix socket.
    """

    user: bytes
    host: str
    stored: Stored | None
    nonce: bytes = field(repr=False)
    first: First | None
    can_switch: bool = True
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a server group has for all of its logins.

    Args:
        verified: Who has shown the password itself.
        lasting: 16 random bytes or more, the same for as long as the process runs.
        plugins: Those that accounts have, `NATIVE` or `SHA2` or both; the first is the
            greeting's.
        key: To decrypt passwords of clients without TLS; None: they can't show them.
        decoy: In place of what is stored of whoever has no account: of the kind that accounts
            have, so that finding out that no password fits takes as long.
    """

    verified: KnownChecks
    lasting: bytes
    plugins: tuple[bytes, ...] = (SHA2,)
    key: PasswordKey | None = None
    decoy: Stored = _DECOY


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that is who it says.

    `answer` goes out first: before the OK, or before the ERR that says that there is no database.
    Either has the number that `Turns.next_id` then says.
    """

    user: bytes
    credentials: Credentials
    answer: bytes = b""


Dialogue = Generator[bytes | PasswordGiven, bytes, Authenticated]


def authenticate(claim: Claim, means: Means, turns: Turns, *, now: float) -> Dialogue:
    """Let a client prove who it is.

    Args:
        claim: Who it says it is.
        means: Of the server group.
        turns: Whose next packet is ours.
        now: In seconds, for what is remembered.

    Raises:
        AccessDenied: It isn't, or can't show it.
        OldClient: It would have to use a plugin, and knows of none.
        RemoteProtocolError: Its answers are no answers.
    """
    return (yield from _Proof(claim, means, turns, now).ask())


class _Proof:
    """The parts of the dialogue, and what they share."""

    __slots__ = ("claim", "means", "now", "stored", "turns")

    def __init__(self, claim: Claim, means: Means, turns: Turns, now: float) -> None:
        self.claim = claim
        self.means = means
        self.turns = turns
        self.now = now
        self.stored = claim.stored or means.decoy

    def ask(self) -> Dialogue:
        """Choose a plugin, have its answer, and judge it."""
        plugin, first = self._choose_plugin(), self.claim.first
        if first is None or first.plugin != plugin:
            if not self.claim.can_switch:
                raise OldClient
            answer = yield from self._say(auth_switch(plugin, self.claim.nonce))
        else:
            answer = first.answer
        if answer in _NO_PASSWORD:
            return (yield from self._judge_none())
        if plugin == NATIVE:
            return self._judge_native(answer)
        return (yield from self._judge_sha2(answer))

    def _choose_plugin(self) -> bytes:
        plugins = self.means.plugins
        if self.claim.stored is None:
            # Of the plugins that there are, by the name: always the same, and not to be foreseen.
            drawn = hmac.digest(self.means.lasting, self.claim.user, "sha256")
            return plugins[drawn[0] % len(plugins)]
        return self.claim.stored.client_plugin or plugins[0]

    def _say(self, payload: bytes) -> Generator[bytes, bytes, bytes]:
        """Say something, and hear the answer."""
        return self.turns.hear((yield self.turns.say(payload)))

    def _judge_none(self) -> Dialogue:
        accepted = self.stored.accepts(b"")
        if accepted is None:
            accepted = yield from self._ask_server(b"")
        if not accepted:
            raise self._denied(used_password=False)
        return Authenticated(self.claim.user, Credentials(password=b""))

    def _judge_native(self, answer: bytes) -> Authenticated:
        check = self.stored.find_native_check()
        key = find_native_key(answer, self.claim.nonce, check) if check is not None else None
        if key is None:
            raise self._denied()
        password = self.stored.password
        return Authenticated(self.claim.user, Credentials(password, key))

    def _judge_sha2(self, answer: bytes) -> Dialogue:
        if len(answer) != SHA2_SIZE:
            raise self._denied()
        user, stored = self.claim.user, self.stored
        check = self.means.verified.find(user, stored, self.now)
        if stored.password is not None:
            check = sha2_check(sha2_key(stored.password))
        key = find_sha2_key(answer, self.claim.nonce, check) if check is not None else None
        if key is not None:
            credentials = Credentials(stored.password, sha2_key=key)
            return Authenticated(user, credentials, self.turns.say(FAST_AUTH_OK))
        password = yield from self._hear_password()
        accepted = stored.accepts(password)
        if accepted is None:
            accepted = yield from self._ask_server(password)
        if not accepted:
            raise self._denied()
        self.means.verified.remember(user, stored, sha2_check(sha2_key(password)), self.now)
        return Authenticated(user, Credentials(password))

    def _hear_password(self) -> Generator[bytes, bytes, bytes]:
        """Have the client say the password itself, so that nobody else hears it."""
        said = yield from self._say(FULL_AUTH)
        if not self.claim.is_private:
            said = yield from self._decrypt(said)
        # The zero at the end is the only one.
        if not said or said.find(b"\0") != len(said) - 1:
            raise self._denied()
        return said[:-1]

    def _decrypt(self, said: bytes) -> Generator[bytes, bytes, bytes]:
        key = self.means.key
        if key is None:
            raise self._denied(hint="Without TLS no password can be given here")
        if said == _WANTS_KEY:
            said = yield from self._say(auth_more(key.public))
        return key.decrypt(said, self.claim.nonce) or b""

    def _ask_server(self, password: bytes) -> Generator[PasswordGiven, bytes, bool]:
        question = PasswordGiven(self.claim.user, password)
        yield question
        return question.accepted

    def _denied(self, *, used_password: bool = True, hint: str = "") -> AccessDenied:
        return AccessDenied(
            self.claim.user, self.claim.host, used_password=used_password, hint=hint
        )
