"""A PostgreSQL client: its login, and how a ready answer to it is found.

Theory of the login: `proxy.wire.postgres`, `startup` and `authentication`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, cast, final

from proxy.cache.entry import Answer
from proxy.errors import (
    ClientVisibleError,
    InternalError,
    InvalidAuthorization,
    RemoteProtocolError,
    UnsupportedVersion,
)
from proxy.runtime.client import ClientConnection
from proxy.runtime.postgres.logins import Logins
from proxy.runtime.postgres.tunnel import Tunnel
from proxy.runtime.service import GroupService
from proxy.session.session import Session
from proxy.types import Ending
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.authentication import Authenticated, Claim, authenticate
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.packets import V3_2, CancelRequest
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.startup import Replication, Startup, TlsBegins, client_startup

_BIND: Final = tags.BIND
_STATEMENT_NAME: Final = HEADER + 1
"""Where the statement's name begins in a Bind to the unnamed portal."""

LONGEST_ANSWER: Final = 65_540
"""A password message: PostgreSQL's limit, and the header."""


@final
class PostgresClient(ClientConnection):
    """See the module, and the base.

    Args:
        logins: Of its group.
    """

    def __init__(self, service: GroupService, logins: Logins, is_local: bool = False) -> None:
        super().__init__(service, is_local)
        self.logins = logins
        self.key = (0, b"")

    def find_ready(
        self, session: Session, answers: dict[bytes, Answer], data: bytes
    ) -> bytes | None:
        """See the base."""
        if data[0] == _BIND:
            return self._find_bound(session, data)
        return self.service.find_answer(answers, data)

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

    def error_message(self, error: ClientVisibleError) -> bytes:
        """See the base."""
        return error_message(error, fatal=True)

    def forget(self) -> None:
        """See the base."""
        self.logins.drop_key(self.key[0])

    async def admit(self) -> None:
        """See the base."""
        wish = await self._start()
        if isinstance(wish, CancelRequest):
            if not self.logins.cancel_by_key(wish):
                # Its client may be another process's: they share the port.
                self.service.pass_on(("cancel", wish.pid, wish.secret))
            self.close("cancel request", Ending.CANCEL_REQUEST)
            return
        service, logins = self.service, self.logins
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
            primary = service.group.primary
            if primary is None:
                raise service.line.no_primary()
            address = service.maker.address(primary)
            self.tunnel = await Tunnel.open(
                self, address, wish, proven, key=self.key, cancel=service.cancel
            )
            self.tunnel.send(rest)
            return
        profile, parameters = await logins.welcome(
            wish,
            self.user,
            self.database,
            proven.credentials,
            client=self.place,
        )
        self.key = logins.new_key(self, 32 if wish.version >= V3_2 else 4)
        engine = ClientEngine(cast(Library, service.library))
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
        self.begin(session, rest)

    async def _start(self) -> Startup | CancelRequest:
        """From the first byte to who wants what."""
        offers_tls = self.logins.tls is not None and not self.is_local
        dialogue = client_startup(tls=offers_tls)
        answer = next(dialogue)
        while True:
            if isinstance(answer, TlsBegins):
                await self._begin_tls(answer)
            elif answer:
                self.write(answer)
            data = await self.read()
            try:
                answer = dialogue.send(data)
            except StopIteration as stop:
                wish: Startup | CancelRequest = stop.value
                if isinstance(wish, Startup) and wish.answer:
                    self.write(wish.answer)
                return wish

    async def _begin_tls(self, begin: TlsBegins) -> None:
        context = self.logins.tls
        if context is None:
            raise InternalError("TLS was offered without a certificate")
        tls = await self.begin_tls(context, begin.received, begin.answer or b"")
        if begin.received and tls.application_protocol is None:
            raise UnsupportedVersion("direct TLS without the ALPN protocol postgresql")

    async def _authenticate(self, wish: Startup, rest: bytes) -> tuple[Authenticated, bytes]:
        logins = self.logins
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
            data += await self.read()
        size = 1 + read_int32(data, 1)
        if not HEADER <= size <= LONGEST_ANSWER:
            raise RemoteProtocolError("invalid message length")
        while len(data) < size:
            data += await self.read()
        return data[:size], data[size:]
