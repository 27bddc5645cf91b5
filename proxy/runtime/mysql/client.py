"""A MySQL client: its login, and how a ready answer to it is found.

Theory of the login: `proxy.wire.mysql`, `startup` and `authentication`.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast, final

from proxy.cache.entry import Answer
from proxy.errors import ClientVisibleError, InternalError, ShuttingDown
from proxy.runtime.client import ClientConnection
from proxy.runtime.mysql.compressed import Compressed
from proxy.runtime.mysql.logins import CATALOG, Logins
from proxy.runtime.mysql.tunnel import Tunnel
from proxy.runtime.server import ServerConnection
from proxy.runtime.service import GroupService
from proxy.session.ports import Link
from proxy.session.session import Session
from proxy.wire import requests
from proxy.wire.mysql import commands
from proxy.wire.mysql.authentication import Authenticated, Claim, authenticate
from proxy.wire.mysql.capabilities import (
    COMPRESS,
    PLUGIN_AUTH,
    STATUS_AUTOCOMMIT,
    ZSTD_COMPRESSION,
)
from proxy.wire.mysql.client_engine import ClientEngine
from proxy.wire.mysql.codec import HEADER, payload
from proxy.wire.mysql.compression import Compression, agreed_algorithm
from proxy.wire.mysql.errors import error_packet
from proxy.wire.mysql.events import Encryption, PasswordGiven, TlsBegins
from proxy.wire.mysql.handshake import Greeting, Response, read_change_user
from proxy.wire.mysql.killing import Kill, Killed
from proxy.wire.mysql.ok import Ok, ok_packet
from proxy.wire.mysql.prepared import Library
from proxy.wire.mysql.requests import ARGUMENTS, STATEMENT, Request
from proxy.wire.mysql.scramble import NATIVE
from proxy.wire.mysql.startup import First, Startup, client_startup
from proxy.wire.mysql.turns import Turns

_EXECUTE: Final = commands.STMT_EXECUTE
_COMPRESSION: Final = COMPRESS | ZSTD_COMPRESSION

LARGEST: Final = 1024 * 1024 * 1024
"""Bytes of one command: MySQL's own limit to max_allowed_packet."""


@final
class MySQLClient(ClientConnection):
    """See the module, and the base.

    Args:
        logins: Of its group.
    """

    def __init__(self, service: GroupService, logins: Logins, is_local: bool = False) -> None:
        super().__init__(service, is_local)
        self.logins = logins
        self.number = 0
        self._greeting: Greeting | None = None
        self._turns: Turns | None = None  # until it is let in

    @property
    def catalog(self) -> str:
        """See the base."""
        return CATALOG if self.session is not None else ""

    def find_ready(
        self, session: Session, answers: dict[bytes, Answer], data: bytes
    ) -> bytes | None:
        """See the base."""
        if len(data) <= HEADER or data[HEADER] != _EXECUTE:
            return self.service.find_answer(answers, data)
        known = session.named.get(data[STATEMENT:ARGUMENTS])
        return None if known is None else self.service.find_answer(known, data[ARGUMENTS:])

    def error_message(self, error: ClientVisibleError) -> bytes:
        """See the base: an answer to what it said last, or out of turn as a server's farewell."""
        turns = self._turns
        return error_packet(error, 1) if turns is None else turns.refusal(error)

    def forget(self) -> None:
        """See the base."""
        self.logins.leave(self.number)

    async def admit(self) -> None:
        """See the base."""
        logins, service = self.logins, self.service
        turns = self._turns = Turns()
        if len(service.clients) > service.settings.max_client_conn:
            raise logins.full()
        self.number = logins.enter(self)
        self._greeting = greeting = await logins.greeting(self.number)
        wish = await self._start(greeting, turns)
        response = wish.response
        session, rest = await self._let_in(response, wish.first, wish.rest, turns, greeting)
        algorithm = agreed_algorithm(response.capabilities, response.zstd_level)
        if algorithm is not None:
            rest = self._compress(Compressed(Compression(algorithm)), rest)
        self.begin(session, rest)

    async def go_on(self, request: requests.Request, link: Link | None) -> None:
        """See the base: COM_CHANGE_USER, or a dump of the binary log."""
        assert isinstance(request, Request)
        if request.command == commands.CHANGE_USER:
            await self._change_user(request)
            return
        if link is None:
            connection = await self.logins.reach_primary(self.user, request.capabilities)
        else:
            connection = cast(ServerConnection, link)
        tunnel = Tunnel(self, connection, owed=len(request.ahead))
        self.tunnel = tunnel
        for packets in (*request.ahead, request.packets, self.take_early()):
            tunnel.send(packets)

    async def _change_user(self, request: Request) -> None:
        greeting = self._greeting
        if greeting is None:
            raise InternalError("a user was changed before there was one")
        turns = self._turns = Turns(1, is_41=True)
        agreed = request.capabilities
        wish = read_change_user(payload(request.packets)[1:], agreed)
        response = Response(
            capabilities=agreed,
            max_packet=0,
            charset=greeting.charset if wish.charset is None else wish.charset,
            user=wish.user,
            database=wish.database,
            attributes=wish.attributes,
        )
        first = None if agreed & PLUGIN_AUTH else First(NATIVE, wish.answer)
        session, rest = await self._let_in(response, first, b"", turns, greeting)
        self.begin(session, rest)

    async def _let_in(
        self,
        response: Response,
        first: First | None,
        rest: bytes,
        turns: Turns,
        greeting: Greeting,
    ) -> tuple[Session, bytes]:
        """Have a client prove who it is; returns its session, and what it has sent ahead."""
        logins, service = self.logins, self.service
        agreed = response.capabilities & ~_COMPRESSION  # which is no affair of the session's
        self.user = response.user.decode("utf-8", "surrogateescape")
        self.database = response.database.decode("utf-8", "surrogateescape")
        program = response.attributes.get(b"program_name", b"")
        self.application = program.decode("utf-8", "replace")
        proven, rest = await self._authenticate(response, first, rest, greeting, turns)
        self.write(proven.answer)
        profile = await logins.profile(
            self.user,
            self.database,
            response.charset,
            agreed,
            proven.credentials,
            self.place,
        )
        library = cast(Library, service.library)
        engine = ClientEngine(library, agreed, LARGEST)
        engine.number = self.number
        engine.kill = self._kill
        if profile.begins_itself:
            engine.status &= ~STATUS_AUTOCOMMIT
        session = Session(service, self, engine, profile, logins.terms(self.user), service.traces)
        self.write(ok_packet(turns.next_id, Ok(status=engine.status), agreed))
        self._turns = None
        return session, rest

    def _compress(self, compressed: Compressed, rest: bytes) -> bytes:
        """Have everything compressed from now on; returns what was sent ahead, as it was meant."""
        rest = self.unwrap(compressed, rest + self.take_early())
        compressed.below = self.wrapping
        self.wrapping = compressed
        return rest

    def _kill(self, wanted: Kill) -> Killed:
        """End another client's connection, or what it runs; of the same user only."""
        if self.logins.is_elsewhere(wanted.number):
            self.service.pass_on(("kill", wanted.number, wanted.is_query, self.user))
            return Killed.DONE
        return self.logins.kill(wanted, self.user)

    def kill(self) -> None:
        """Another client has ended this one: what it runs is stopped, and it hears why."""
        self.cancel()
        asyncio.get_running_loop().call_soon(self.refuse, ShuttingDown("Connection was killed"))

    async def _start(self, greeting: Greeting, turns: Turns) -> Startup:
        """From our greeting to who wants what."""
        encryption = Encryption.NEVER
        if self.logins.tls is not None and not self.is_local:
            required = self.logins.requires_tls
            encryption = Encryption.REQUIRED if required else Encryption.OFFERED
        dialogue = client_startup(greeting, turns, encryption=encryption)
        said = next(dialogue)
        while True:
            if isinstance(said, TlsBegins):
                context = self.logins.tls
                if context is None:
                    raise InternalError("TLS was offered without a certificate")
                await self.begin_tls(context, said.received, said.answer)
            elif said:
                self.write(said)
            data = await self.read()
            try:
                said = dialogue.send(data)
            except StopIteration as stop:
                return cast(Startup, stop.value)

    async def _authenticate(
        self,
        response: Response,
        first: First | None,
        rest: bytes,
        greeting: Greeting,
        turns: Turns,
    ) -> tuple[Authenticated, bytes]:
        logins = self.logins
        claim = Claim(
            user=response.user,
            host=self.peer.rpartition(":")[0],
            stored=await logins.stored(self.user),
            nonce=greeting.nonce,
            first=first,
            can_switch=bool(response.capabilities & PLUGIN_AUTH),
            is_private=self.tls is not None or self.is_local,
        )
        means = logins.means(greeting, is_private=claim.is_private)
        dialogue = authenticate(claim, means, turns, now=self.service.clock())
        try:
            said = next(dialogue)
            while True:
                if isinstance(said, PasswordGiven):
                    said.accepted = await logins.is_password(said.user, said.password)
                    said = dialogue.send(b"")
                    continue
                self.write(said)
                packet, rest = await self._read_packet(rest, turns)
                said = dialogue.send(packet)
        except StopIteration as stop:
            return cast(Authenticated, stop.value), rest

    async def _read_packet(self, data: bytes, turns: Turns) -> tuple[bytes, bytes]:
        """Wait for one whole packet; returns it, and what came behind it."""
        while len(data) < HEADER or len(data) < turns.size(data):
            data += await self.read()
        size = turns.size(data)
        return data[:size], data[size:]
