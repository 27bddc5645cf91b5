"""One connection to a server: bytes and flow control. What they mean is known elsewhere.

How one is opened is in `opening`. It is lent to one session at a time; what arrives is handed to
it. While nobody has it, what the server says is only noted.

Compiled, as every byte passes here: so the class has an `asyncio.Protocol`'s methods without being
one, which a compiled class can't be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, final

from proxy.errors import ClientVisibleError, RemoteProtocolError, ServerLost
from proxy.freshness.replica import ConnectionPosition
from proxy.observe.metrics import ServerMetrics
from proxy.runtime.tls import Tls, end_point_binding
from proxy.session.ports import Holder
from proxy.session.state import UNTOUCHED, SessionState
from proxy.topology.group import Server
from proxy.types import Position
from proxy.wire.exchange import Exchange

HIGH_WATER: Final = 256 * 1024
"""Bytes that may wait to be sent before the other side is told to pause."""


class User(Protocol):
    """Who has a server connection: a session."""

    def server_data(self, link: ServerConnection, data: bytes, /) -> None:
        """Take what the server sent."""

    def server_lost(self, link: ServerConnection, reason: str, /) -> None:
        """The connection is gone."""

    def server_paused(self, link: ServerConnection, paused: bool, /) -> None:
        """The server takes no more for now, or takes more again."""


class Cutter(Protocol):
    """Cuts what a server says in a dialogue into messages."""

    def feed(self, data: bytes, /) -> Sequence[object]:
        """Take bytes and return the messages that are whole.

        Raises:
            RemoteProtocolError: They are none.
        """


class Tongue(Protocol):
    """What must be known of a server's protocol while it is not talked to."""

    goodbye: bytes

    def new_cutter(self) -> Cutter:
        """Cut a dialogue's messages."""

    def words(self, farewell: bytes, /) -> str:
        """Say why a server hangs up, for people."""


class Keeper(Protocol):
    """Whose a server connection is: a pool."""

    def release(self, connection: ServerConnection, /) -> None:
        """Take it back."""

    def offer(self, connection: ServerConnection, holder: Holder, /) -> None:
        """Have its holder asked for it, once others wait."""


@dataclass(slots=True, frozen=True)
class Address:
    """How a server is reached. `tls` is None for a connection in the open."""

    server: Server
    tongue: Tongue
    tls: Any  # ssl.SSLContext | None
    sslmode: str
    timeout: float
    max_prepared: int
    metrics: ServerMetrics


@dataclass(slots=True, frozen=True)
class Facts:
    """What a new connection said of its session's defaults, and of itself."""

    recovering: bool
    backend_start: float  # seconds since 1970
    defaults: Mapping[str, str]  # that somebody looks at
    shape: str
    database: int  # its oid: another may have got the name since, or on another server


@final
class ServerConnection:
    """See the module. `exchange` holds the protocol state once the login is done."""

    def __init__(self, address: Address) -> None:
        self.server = address.server
        self.address = address
        self._metrics = address.metrics
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange
        self.user: User | None = None
        self.state: SessionState = UNTOUCHED
        self.position: ConnectionPosition | None = None
        self.facts: Facts
        self.pid = 0
        self.secret = b""
        self.incarnation = 0
        self.opened_at = 0.0
        self.share = 1.0
        self.idle_since = 0.0
        self.retired = False
        self.is_lost = False
        self.shape = ""
        self.sequences_of: object = None
        self.stained_by: object = None
        self._is_paused = False
        self._held: list[bytes] | None = None
        self.on_lost: Callable[[ServerConnection], None] | None = None
        self._tls: Tls | None = None
        self._dialogue: _Dialogue | None = None
        self.cancelling = 0  # cancel requests under way: until they are heard it is not lent
        self.is_returned = False  # while one was
        self.pool: Keeper

    @property
    def flavour(self) -> SessionState:
        """What the pool matches a client's session with."""
        return self.state

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._metrics.bytes_in += len(data)
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if not data:
                return
        if self.user is not None:
            self.user.server_data(self, data)
            if self.opened_at:
                self._part_after_farewell()
        elif self._dialogue is not None:
            self._dialogue.feed(data)
        else:
            self._idle_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._lose(str(exc) if exc is not None else "the server closed the connection")

    def pause_writing(self) -> None:
        """The server reads too slowly."""
        if self.user is not None:
            self.user.server_paused(self, True)

    def resume_writing(self) -> None:
        """The server has caught up."""
        if self.user is not None:
            self.user.server_paused(self, False)

    # For whoever has it

    def lend(self, user: User | None) -> None:
        """From now on, hand what comes to this user; None: to nobody."""
        self.user = user
        if user is None:
            self.resume_reading()

    def believes(self, need: Position, epoch: int) -> bool:
        """Tell whether a statement sent now will see what needs this position."""
        return self.position is not None and self.position.believes(need, epoch)

    def verified(self, position: Position, epoch: int) -> None:
        """The server said on this very connection that it has replayed a position."""
        if self.position is not None:
            self.position.verified(position, epoch)

    def write(self, data: bytes) -> None:
        """Send to the server."""
        transport = self.transport
        if transport is None or self.is_lost:
            return
        held = self._held
        if held is not None:
            held.append(data)
            return
        self._metrics.bytes_out += len(data)
        transport.write(data if self._tls is None else self._tls.send(data))

    @property
    def is_held(self) -> bool:
        """Whether what is written is kept back."""
        return self._held is not None

    def hold(self) -> None:
        """Keep back what is written from now on."""
        if self._held is None:
            self._held = []

    def let_go(self) -> None:
        """Send what was kept back, and all that comes."""
        held, self._held = self._held, None
        if held:
            self.write(b"".join(held))

    def pause_reading(self) -> None:
        """Read no more until told: the client is slow."""
        if self.transport is not None and not self._is_paused and not self.is_lost:
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self.transport is not None and self._is_paused and not self.is_lost:
            self._is_paused = False
            self.transport.resume_reading()

    def close(self) -> None:
        """Say goodbye and hang up."""
        self.retired = True
        if self.transport is not None and not self.is_lost:
            self.write(self.address.tongue.goodbye)
            if self._tls is not None:
                self.transport.write(self._tls.goodbye())
            self.transport.close()

    def abort(self, reason: str) -> None:
        """Hang up at once."""
        self.retired = True
        if self.transport is not None:
            self.transport.abort()
        self._lose(reason)

    # Opening

    async def converse(self, dialogue: Generator[bytes, Any, Any]) -> Any:
        """Run a dialogue: it yields what to send, is sent each message, and returns its outcome."""
        try:
            return await self.listen(dialogue)
        finally:
            self._dialogue = None

    def listen(self, dialogue: Generator[bytes, Any, Any]) -> asyncio.Future[Any]:
        """Begin a dialogue; before there is a transport, where it is the server that begins."""
        self._dialogue = _Dialogue(dialogue, self.address.tongue.new_cutter(), self.write)
        if self.is_lost:
            self._dialogue.fail(ServerLost(f"server {self.server.name} is gone"))
        return self._dialogue.outcome

    async def exchange_bytes(self, data: bytes) -> bytes:
        """Send bytes in the open and return what comes next, which is no message."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._dialogue = _Bytes(answer)
        self.write(data)
        try:
            return await answer
        finally:
            self._dialogue = None

    async def begin_tls(self) -> None:
        """Encrypt from now on: the server has agreed to it."""
        transport = self.transport
        if transport is None:
            raise ServerLost(f"server {self.server.name} is gone")
        self._tls = Tls(self.address.tls, server_side=False, hostname=self.server.host)
        established: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._dialogue = _Handshake(established)
        _, hello = self._tls.receive(b"")
        transport.write(hello)
        await established
        self._dialogue = None

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._tls is not None

    @property
    def channel_binding(self) -> bytes | None:
        """What SCRAM-SHA-256-PLUS binds the login to, over TLS."""
        if self._tls is None or (certificate := self._tls.peer_certificate) is None:
            return None
        return end_point_binding(certificate)

    def _decrypt(self, tls: Tls, data: bytes) -> bytes:
        transport = cast(asyncio.Transport, self.transport)
        was_established = tls.established
        try:
            plain, answer = tls.receive(data)
        except OSError as error:  # ssl.SSLError is one
            transport.write(tls.pending())
            self.abort(f"TLS: {error}")
            return b""
        if answer:
            transport.write(answer)
        if tls.established and not was_established and isinstance(self._dialogue, _Handshake):
            self._dialogue.finish()
        return plain

    def _idle_data(self, data: bytes) -> None:
        if not self.opened_at:
            # Logged in, and not vouched for yet: all it can have to say is goodbye.
            self.abort("the server spoke before the connection was used")
            return
        try:
            self.exchange.idle_feed(data)
        except RemoteProtocolError as error:
            self.abort(error.message)
            return
        self.exchange.asynchronous = b""
        self._part_after_farewell()

    def _part_after_farewell(self) -> None:
        farewell = self.exchange.farewell
        if farewell is not None:
            self.abort(self.address.tongue.words(farewell))

    def _lose(self, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.retired = True
        if self._dialogue is not None:
            self._dialogue.fail(ServerLost(f"server {self.server.name}: {reason}"))
        user, self.user = self.user, None
        if self.on_lost is not None:
            self.on_lost(self)
        if user is not None:
            user.server_lost(self, reason)


class _Dialogue:
    """Feeds whole messages to a generator until it returns."""

    def __init__(
        self,
        dialogue: Generator[bytes, Any, Any],
        cutter: Cutter,
        write: Callable[[bytes], None],
    ) -> None:
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._dialogue = dialogue
        self._cutter = cutter
        self._write = write
        self._step(None)

    def feed(self, data: bytes) -> None:
        """Take bytes; each whole message goes to the generator."""
        try:
            messages = self._cutter.feed(data)
        except RemoteProtocolError as error:
            self.fail(error)
            return
        for message in messages:
            if self.outcome.done():
                return
            self._step(message)

    def fail(self, error: Exception) -> None:
        """End it from outside."""
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def _step(self, message: object) -> None:
        try:
            data = self._dialogue.send(message)
        except StopIteration as stop:
            self.outcome.set_result(stop.value)
        except ClientVisibleError as error:
            self.outcome.set_exception(error)
        else:
            if data:
                self._write(data)


class _Bytes(_Dialogue):
    """Waits for what comes next."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self.outcome = answer

    def feed(self, data: bytes) -> None:
        if not self.outcome.done():
            self.outcome.set_result(data)


class _Handshake(_Bytes):
    """Waits for the end of a TLS handshake."""

    def feed(self, data: bytes) -> None:
        self.fail(RemoteProtocolError("the server spoke before it was asked"))

    def finish(self) -> None:
        """The handshake is done."""
        if not self.outcome.done():
            self.outcome.set_result(b"")
