"""One client connection: login, then bytes and flow control for its session.

What can be answered from the cache is answered right here, in the callback that received it;
everything else goes to the session. Theory of the login: `proxy.wire.postgres`, `startup` and
`authentication`. Compiled, as `server` is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Final, cast, final

from proxy.errors import (
    ClientVisibleError,
    Fault,
    InternalError,
    InvalidAuthorization,
    RemoteProtocolError,
    UnsupportedVersion,
)
from proxy.observe.logs import Logger, connection_ended
from proxy.runtime.keepalive import set_keepalive
from proxy.runtime.server import HIGH_WATER
from proxy.runtime.service import GroupService
from proxy.runtime.tls import Tls
from proxy.runtime.tunnel import Tunnel
from proxy.session.session import Session
from proxy.settings.values import LOCAL
from proxy.types import Ending
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.authentication import Authenticated, Claim, authenticate
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.packets import V3_2, CancelRequest
from proxy.wire.postgres.startup import Replication, Startup, TlsBegins, client_startup

log = Logger("client")

_BIND: Final = tags.BIND
_STATEMENT_NAME: Final = HEADER + 1
"""Where the statement's name begins in a Bind to the unnamed portal."""

LONGEST_ANSWER: Final = 65_540
"""A password message: PostgreSQL's limit, and the header."""


@final
class ClientConnection:
    """See the module.

    Args:
        service: Of the group that it was accepted for.
        is_local: Whether it came by a Unix socket: nobody else can listen in, and TLS is not
            spoken there.
    """

    def __init__(self, service: GroupService, is_local: bool = False) -> None:
        self.service = service
        self.is_local = is_local
        self.user = ""
        self.database = ""
        self.application = ""
        self.peer = ""
        self.key = (0, b"")
        self.session: Session | None = None
        self.tls: Tls | None = None
        self.began = 0.0
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._arrived: asyncio.Event = asyncio.Event()
        self._login: asyncio.Task[None] | None = None
        self._tunnel: Tunnel | None = None
        self._engine: ClientEngine | None = None
        self._closing = ""
        self._cause: Ending | Fault = Ending.HUNG_UP
        self._is_lost = False
        self._is_paused = False
        self.received = 0  # bytes
        self._received_before = 0  # when it was last looked at
        self.sent = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        if self.is_local:
            self.peer = "[local]"
        else:
            self.peer = f"{peer[0]}:{peer[1]}" if peer else "unknown"
        set_keepalive(transport, self.service.settings)
        self.began = self.service.clock()
        self.service.clients.add(self)
        self.service.metrics.clients += 1
        self._login = asyncio.get_running_loop().create_task(self._log_in())

    def data_received(self, data: bytes) -> None:
        """Bytes came: the hot path."""
        self.received += len(data)
        if self.tls is not None:
            data = self._decrypt(self.tls, data)
            if not data:
                return
        session = self.session
        if session is None:
            self._early(data)
            return
        answers = session.answers
        if answers is not None:
            if data[0] == _BIND:
                answer = self._find_bound(session, data)
            else:
                answer = self.service.find_answer(answers, data)
            if answer is not None:
                if self._engine is not None:
                    self._engine.answered(data)
                self.write(answer if session.late is None else session.beside(answer))
                return
        try:
            session.receive(data)
        except RemoteProtocolError as error:
            self._break(error)

    def eof_received(self) -> bool:
        """The client has nothing more to say, and so wants nothing more to hear."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._is_lost = True
        self._arrived.set()
        if self._login is not None:
            self._login.cancel()
        if self._tunnel is not None:
            self._tunnel.close()
        if self.session is not None:
            self.session.client_gone()
        self.service.clients.discard(self)
        self.service.logins.drop_key(self.key[0])
        self._log(self._closing or (str(exc) if exc is not None else "client hung up"))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self._tunnel is not None:
            self._tunnel.pause_server()
        if self.session is not None:
            self.session.client_paused(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._tunnel is not None:
            self._tunnel.resume_server()
        if self.session is not None:
            self.session.client_paused(False)

    # Shell, for the session

    def write(self, data: bytes) -> None:
        """Send to the client."""
        transport = self._transport
        if transport is None or self._is_lost or self._closing:
            return
        self.sent += len(data)
        transport.write(data if self.tls is None else self.tls.send(data))

    def close(self, reason: str, cause: Ending | Fault) -> None:
        """Send what is waiting, then hang up."""
        if self._closing:
            return
        self._closing, self._cause = reason, cause
        if self._transport is not None and not self._is_lost:
            if self.tls is not None:
                self._transport.write(self.tls.goodbye())
            self._transport.close()

    def pause_reading(self) -> None:
        """Take no more from the client until told."""
        if self._transport is not None and not self._is_paused and not self._is_lost:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more again."""
        if self._is_paused and self._transport is not None and not self._is_lost:
            self._is_paused = False
            self._transport.resume_reading()

    def refuse(self, error: ClientVisibleError) -> None:
        """Tell the client why it must go, and hang up."""
        self.write(error_message(error, fatal=True))
        self.close(error.message, error.fault)

    def follow_policy(self) -> None:
        """The rules have changed, or the contract of the server group."""
        if self.session is not None:
            self.session.follow_policy()

    def cancel(self) -> None:
        """Stop what runs for this client."""
        if self.session is not None:
            self.session.cancel()
        elif self._tunnel is not None:
            self._tunnel.cancel()

    def why_overdue(self, now: float) -> ClientVisibleError | None:
        """Say why the client must go, if it has been idle for too long; about once a second."""
        session = self.session
        if session is None:
            return None
        if self.received != self._received_before:
            # What is answered from the cache at once leaves no trace in the session.
            self._received_before = self.received
            session.idle_since = now
        return session.tick(now)

    # The hot path

    def _find_bound(self, session: Session, data: bytes) -> bytes | None:
        """Find the answer to a Bind of a statement that this client has prepared."""
        if len(data) < _STATEMENT_NAME or data[HEADER] != 0:
            return None
        stop = data.find(0, _STATEMENT_NAME)
        if stop < 0:
            return None
        answers = session.named.get(data[_STATEMENT_NAME:stop])
        if answers is None:
            return None
        return self.service.find_answer(answers, data[stop:])

    def _decrypt(self, tls: Tls, data: bytes) -> bytes:
        transport = cast(asyncio.Transport, self._transport)
        try:
            plain, answer = tls.receive(data)
        except OSError as error:  # ssl.SSLError is one
            transport.write(tls.pending())
            self.close(f"TLS: {error}", Ending.TLS_FAILED)
            return b""
        if answer:
            transport.write(answer)
        if not plain and tls.established:
            self._arrived.set()
        return plain

    def _break(self, error: RemoteProtocolError) -> None:
        """The client does not speak the protocol: nothing can be said to it but goodbye."""
        if not self._closing:
            self.refuse(error)

    # Login

    def _early(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.send(data)
            return
        self._inbox += data
        self._arrived.set()
        if len(self._inbox) > LONGEST_ANSWER:
            self.pause_reading()

    async def _read(self) -> bytes:
        """Wait for bytes.

        Raises:
            ConnectionError: The client is gone.
        """
        while not self._inbox:
            if self._is_lost:
                raise ConnectionError
            self._arrived.clear()
            self.resume_reading()
            await self._arrived.wait()
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    async def _log_in(self) -> None:
        settings = self.service.settings
        try:
            async with asyncio.timeout(settings.client_login_timeout):
                await self._admit()
        except TimeoutError:
            limit = settings.client_login_timeout
            self.close(f"no login within {limit:g} s", Ending.LOGIN_TIMEOUT)
        except ConnectionError:
            pass
        except ClientVisibleError as error:
            self.service.logins.failed(error)
            self.refuse(error)
        except Exception as bug:
            log.exception("a login failed by a bug", bug)
            self.refuse(ClientVisibleError("internal error"))

    async def _admit(self) -> None:
        wish = await self._start()
        if isinstance(wish, CancelRequest):
            self.service.logins.cancel_by_key(wish)
            self.close("cancel request", Ending.CANCEL_REQUEST)
            return
        service, logins = self.service, self.service.logins
        self.user = wish.user.decode("utf-8", "surrogateescape")
        self.database = wish.database.decode("utf-8", "surrogateescape")
        self.application = wish.settings.get(b"application_name", b"").decode("utf-8", "replace")
        if len(service.clients) > service.settings.max_client_conn:
            raise logins.full()
        if self.tls is None and not self.is_local and logins.requires_tls:
            raise InvalidAuthorization("TLS is required on this port (client_tls_sslmode)")
        rest = wish.rest
        proven, rest = await self._authenticate(wish, rest)
        if wish.replication is not Replication.NO:
            self.key = logins.new_key(self, 4)
            self._tunnel = await service.open_tunnel(self, wish, proven, self.key)
            self._tunnel.send(rest)
            return
        profile, parameters = await logins.welcome(
            wish,
            self.user,
            self.database,
            proven.credentials,
            client=LOCAL if self.is_local else self.peer.rpartition(":")[0],
        )
        self.key = logins.new_key(self, 32 if wish.version >= V3_2 else 4)
        engine = ClientEngine(service.library)
        session = Session(service, self, engine, profile, logins.terms(self.user), service.traces)
        self.write(
            b"".join(
                (
                    proven.answer,
                    parameters,
                    backend.backend_key_data(*self.key),
                    backend.READY_IDLE,
                )
            )
        )
        rest += bytes(self._inbox)
        self._inbox.clear()
        self.session = session
        self._engine = engine
        self.resume_reading()
        if rest:
            try:
                session.receive(rest)
            except RemoteProtocolError as error:
                self._break(error)

    async def _start(self) -> Startup | CancelRequest:
        """From the first byte to who wants what."""
        offers_tls = self.service.logins.tls is not None and not self.is_local
        dialogue = client_startup(tls=offers_tls)
        answer = next(dialogue)
        while True:
            if isinstance(answer, TlsBegins):
                await self._begin_tls(answer)
            elif answer:
                self.write(answer)
            data = await self._read()
            try:
                answer = dialogue.send(data)
            except StopIteration as stop:
                wish: Startup | CancelRequest = stop.value
                if isinstance(wish, Startup) and wish.answer:
                    self.write(wish.answer)
                return wish

    async def _begin_tls(self, begin: TlsBegins) -> None:
        context = self.service.logins.tls
        if context is None:
            raise InternalError("TLS was offered without a certificate")
        if begin.answer:
            self.write(begin.answer)
        early = begin.received + bytes(self._inbox)
        self._inbox.clear()
        self.tls = Tls(context, server_side=True)
        if early:
            self._inbox += self._decrypt(self.tls, early)
        while not self.tls.established:
            if self._is_lost or self._closing:
                raise ConnectionError
            self._arrived.clear()
            await self._arrived.wait()
        if begin.received and self.tls.application_protocol is None:
            raise UnsupportedVersion("direct TLS without the ALPN protocol postgresql")

    async def _authenticate(self, wish: Startup, rest: bytes) -> tuple[Authenticated, bytes]:
        logins = self.service.logins
        tls = self.tls
        name = tls.peer_common_name if tls is not None else None
        claim = Claim(
            user=wish.user,
            stored=await logins.stored_secret(self.user),
            certificate_name=name.encode() if name is not None else None,
            binding=logins.channel_binding if tls is not None else None,
        )
        dialogue: Generator[bytes, bytes, Authenticated] = authenticate(
            logins.method, claim, logins.new_chance()
        )
        try:
            answer = next(dialogue)
            while True:
                self.write(answer)
                message, rest = await self._read_message(rest)
                answer = dialogue.send(message)
        except StopIteration as stop:
            return cast(Authenticated, stop.value), rest

    async def _read_message(self, data: bytes) -> tuple[bytes, bytes]:
        """Wait for one whole message; returns it, and what came behind it."""
        while len(data) < HEADER:
            data += await self._read()
        size = 1 + read_int32(data, 1)
        if not HEADER <= size <= LONGEST_ANSWER:
            raise RemoteProtocolError("invalid message length")
        while len(data) < size:
            data += await self._read()
        return data[:size], data[size:]

    def _log(self, reason: str) -> None:
        service = self.service
        metrics = service.metrics
        metrics.ended.count(self._cause.value)
        metrics.gone_in += self.received
        metrics.gone_out += self.sent
        connection_ended(
            log,
            reason=reason,
            seconds=service.clock() - self.began,
            group=service.settings.name,
            client=self.peer,
            user=self.user or None,
            database=self.database or None,
            application=self.application or None,
            received=self.received,
            sent=self.sent,
        )
