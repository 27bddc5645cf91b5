"""One client connection: login, then bytes and flow control for its session.

What can be answered from the cache is answered right here, in the callback that received it;
everything else goes to the session. How a client logs in, and what finds a ready answer, is its
protocol's. Compiled, as `server` is.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Final, Protocol, cast

from proxy.cache.entry import Answer
from proxy.errors import (
    ClientVisibleError,
    Fault,
    InternalError,
    RemoteProtocolError,
)
from proxy.observe.logs import Logger, connection_ended
from proxy.runtime.keepalive import set_keepalive
from proxy.runtime.server import HIGH_WATER
from proxy.runtime.service import GroupService
from proxy.runtime.tls import Tls
from proxy.runtime.wrapping import Wrapping
from proxy.session.ports import Link
from proxy.session.session import Session
from proxy.settings.values import LOCAL
from proxy.types import Ending
from proxy.wire.requests import Request

log = Logger("client")

MOST_EARLY: Final = 65_540
"""Bytes that a client may send ahead before it is let in."""


class Tunnel(Protocol):
    """Where bytes go that no session looks at."""

    def send(self, data: bytes, /) -> None:
        """Pass on what the client sent."""

    def cancel(self) -> None:
        """Stop what the server runs for this client."""

    def pause_server(self) -> None:
        """The client is slow."""

    def resume_server(self) -> None:
        """The client has caught up."""

    def close(self) -> None:
        """The client is gone."""


class ClientConnection(ABC):
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
        self.session: Session | None = None
        self.tls: Tls | None = None
        self.wrapping: Wrapping | None = None  # TLS or what is in it
        self.began = 0.0
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._arrived: asyncio.Event = asyncio.Event()
        self._login: asyncio.Task[None] | None = None
        self.tunnel: Tunnel | None = None
        self._closing = ""
        self._cause: Ending | Fault = Ending.HUNG_UP
        self._is_lost = False
        self._is_paused = False
        self.received = 0  # bytes
        self._received_before = 0  # when it was last looked at
        self.sent = 0

    # Its protocol's

    @abstractmethod
    async def admit(self) -> None:
        """Hold the dialogue of a login, and begin a session."""

    async def go_on(self, request: Request, link: Link | None) -> None:
        """Do what a request wants that has ended the session; see `Shell.begin_anew`."""
        raise InternalError("there is no such request")

    @abstractmethod
    def find_ready(
        self, session: Session, answers: dict[bytes, Answer], data: bytes
    ) -> bytes | None:
        """Find the ready answer to what came: the hot path."""

    @abstractmethod
    def error_message(self, error: ClientVisibleError) -> bytes:
        """Tell of an error that ends the connection."""

    @abstractmethod
    def forget(self) -> None:
        """The client is gone: nothing leads to it any more."""

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
        self._login = asyncio.get_running_loop().create_task(self._log_in(self.admit()))

    def data_received(self, data: bytes) -> None:
        """Bytes came: the hot path."""
        self.received += len(data)
        if self.wrapping is not None:
            data = self.unwrap(self.wrapping, data)
            if not data:
                return
        session = self.session
        if session is None:
            self._early(data)
            return
        answers = session.answers
        if answers is not None:
            answer = self.find_ready(session, answers, data)
            if answer is not None:
                session.engine.answered(data)
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
        if self.tunnel is not None:
            self.tunnel.close()
        if self.session is not None:
            self.session.client_gone()
        self.service.clients.discard(self)
        self.forget()
        self._log(self._closing or (str(exc) if exc is not None else "client hung up"))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self.tunnel is not None:
            self.tunnel.pause_server()
        if self.session is not None:
            self.session.client_paused(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.tunnel is not None:
            self.tunnel.resume_server()
        if self.session is not None:
            self.session.client_paused(False)

    # Shell, for the session

    def write(self, data: bytes) -> None:
        """Send to the client."""
        transport = self._transport
        if transport is None or self._is_lost or self._closing:
            return
        self.sent += len(data)
        transport.write(data if self.wrapping is None else self.wrapping.send(data))

    def close(self, reason: str, cause: Ending | Fault) -> None:
        """Send what is waiting, then hang up."""
        if self._closing:
            return
        self._closing, self._cause = reason, cause
        if self._transport is not None and not self._is_lost:
            if self.wrapping is not None:
                self._transport.write(self.wrapping.goodbye())
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
            if self.wrapping is not None and self.wrapping.holds_more:
                asyncio.get_running_loop().call_soon(self._take_more)

    def begin_anew(self, request: Request, link: Link | None) -> None:
        """See `Shell`; what the client sends meanwhile waits."""
        if self._is_lost or self._closing:
            if link is not None:
                link.abort("the client is gone")
            return
        self.session = None
        self._login = asyncio.get_running_loop().create_task(
            self._log_in(self.go_on(request, link))
        )

    def refuse(self, error: ClientVisibleError) -> None:
        """Tell the client why it must go, and hang up."""
        self.write(self.error_message(error))
        self.close(error.message, error.fault)

    def follow_policy(self) -> None:
        """The rules have changed, or the contract of the server group."""
        if self.session is not None:
            self.session.follow_policy()

    def cancel(self) -> None:
        """Stop what runs for this client."""
        if self.session is not None:
            self.session.cancel()
        elif self.tunnel is not None:
            self.tunnel.cancel()

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

    def unwrap(self, wrapping: Wrapping, data: bytes) -> bytes:
        """Find out what came; what could not be read ends the connection."""
        transport = cast(asyncio.Transport, self._transport)
        try:
            plain, answer = wrapping.receive(data)
        except OSError as error:  # ssl.SSLError is one
            transport.write(wrapping.pending())
            self.close(f"TLS: {error}", Ending.TLS_FAILED)
            return b""
        except RemoteProtocolError as malformed:
            self._break(malformed)
            return b""
        if answer:
            transport.write(answer)
        if not plain:
            self._arrived.set()  # TLS may have been established
        elif wrapping.holds_more:
            asyncio.get_running_loop().call_soon(self._take_more)
        if wrapping.is_over and not wrapping.holds_more:
            # As `eof_received`, once what came with it is taken. A driver that waits for our
            # goodbye keeps its socket open until it has waited long enough.
            asyncio.get_running_loop().call_soon(self.close, "client hung up", Ending.HUNG_UP)
        return plain

    def _take_more(self) -> None:
        """Go on with what has come and is still wrapped, unless the client is to wait."""
        wrapping = self.wrapping
        if wrapping is not None and wrapping.holds_more and not self._is_paused:
            self.data_received(b"")

    def _break(self, error: RemoteProtocolError) -> None:
        """The client does not speak the protocol: nothing can be said to it but goodbye."""
        if not self._closing:
            self.refuse(error)

    # Login

    def _early(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.send(data)
            return
        self._inbox += data
        self._arrived.set()
        if len(self._inbox) > MOST_EARLY:
            self.pause_reading()

    async def read(self) -> bytes:
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
        return self.take_early()

    async def _log_in(self, admission: Coroutine[None, None, None]) -> None:
        settings = self.service.settings
        try:
            async with asyncio.timeout(settings.client_login_timeout):
                await admission
        except TimeoutError:
            limit = settings.client_login_timeout
            self.close(f"no login within {limit:g} s", Ending.LOGIN_TIMEOUT)
        except ConnectionError:
            pass
        except ClientVisibleError as error:
            self.service.metrics.login_failures.count(error.fault.value)
            self.refuse(error)
        except Exception as bug:
            log.exception("a login failed by a bug", bug)
            self.refuse(ClientVisibleError("internal error"))

    def begin(self, session: Session, rest: bytes) -> None:
        """Let a session serve the client from now on.

        Args:
            session: Of this client.
            rest: What it has sent ahead.
        """
        rest += self.take_early()
        self.session = session
        self.resume_reading()
        if rest:
            try:
                session.receive(rest)
            except RemoteProtocolError as error:
                self._break(error)

    async def begin_tls(self, context: ssl.SSLContext, received: bytes, answer: bytes) -> Tls:
        """Encrypt from now on.

        Args:
            context: With our certificate.
            received: What the client has said of it already.
            answer: What it is told first, in the open.
        """
        if answer:
            self.write(answer)
        early = received + self.take_early()
        self.tls = self.wrapping = Tls(context, server_side=True)
        if early:
            self._inbox += self.unwrap(self.tls, early)
        while not self.tls.established:
            if self._is_lost or self._closing:
                raise ConnectionError
            self._arrived.clear()
            await self._arrived.wait()
        return self.tls

    def take_early(self) -> bytes:
        """Hand out what has come and nobody has read."""
        early = bytes(self._inbox)
        self._inbox.clear()
        return early

    @property
    def catalog(self) -> str:
        """The database whose catalog it uses."""
        return self.database

    @property
    def place(self) -> str:
        """Where the client comes from."""
        return LOCAL if self.is_local else self.peer.rpartition(":")[0]

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
