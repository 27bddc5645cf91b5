"""One server group at work: everything its clients share, and the tasks that keep it true.

The decisions are made elsewhere (ledger, router, planner, books); here they are given the facts,
in the order in which they became known, and what they ask for is done.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from time import monotonic
from typing import Any, Final, cast, final

from proxy.cache.entry import Answer
from proxy.cache.store import Store
from proxy.errors import ClientVisibleError, NoPrimary, ShuttingDown, TooManyWaiting
from proxy.freshness.ledger import ALL_RULES, Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.positions import Ticket
from proxy.freshness.replica import ConnectionPosition, Reading
from proxy.freshness.rules import Rules
from proxy.observe.logs import Logger
from proxy.observe.metrics import GroupMetrics
from proxy.pool.book import Limits
from proxy.routing.balancer import Balancer
from proxy.routing.bans import BanReason
from proxy.routing.plan import Planner
from proxy.routing.reading import Reader
from proxy.routing.router import Router
from proxy.runtime.accounts import Accounts
from proxy.runtime.catalogs import Catalogs
from proxy.runtime.client import ClientConnection
from proxy.runtime.commits import Commits
from proxy.runtime.dialect import PostgresDialect
from proxy.runtime.keepalive import set_keepalive
from proxy.runtime.pools import Pool, Pools
from proxy.runtime.security import Security
from proxy.runtime.server import Address, ServerConnection, open_connection, send_cancel
from proxy.runtime.tunnel import Tunnel
from proxy.runtime.welcome import Welcomes, startup_state
from proxy.session.errand import Errand
from proxy.session.explain import answer_for_proxy
from proxy.session.ports import Dialect, Line, Link, Terms, Waiter
from proxy.session.profile import Profile
from proxy.session.results import Results
from proxy.session.transaction import Transaction
from proxy.settings.model import ServerGroup
from proxy.settings.values import PoolMode, PrimaryReads
from proxy.topology.group import Group, Server, Sighting, Turn
from proxy.topology.witness import Control, Witness
from proxy.types import PinReason, Position, Reason, Role, Table, Token
from proxy.wire.postgres import backend
from proxy.wire.postgres.authentication import Authenticated, Chance, Method
from proxy.wire.postgres.credentials import Credentials
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.packets import CancelRequest
from proxy.wire.postgres.requests import Library
from proxy.wire.postgres.startup import Startup

log = Logger("group")

UPKEEP: Final = 0.5
"""Seconds between two looks at what is overdue."""

MAX_QUEUED: Final = 1024 * 1024
"""Bytes of requests that may wait behind the one being served, before a client is paused."""

CANCEL_TIMEOUT: Final = 5.0


@final
class GroupService:
    """See the module. Made in a running loop; `start` sets it to work.

    Args:
        settings: Of the group.
        security: TLS both ways.
        rules: All on, except in tests.
    """

    def __init__(self, settings: ServerGroup, security: Security, rules: Rules = ALL_RULES) -> None:
        self.settings = settings
        self.clock = monotonic  # a loop's own may tick in milliseconds: no time for an answer
        self.incarnation = secrets.token_hex(8)
        self.metrics = GroupMetrics(settings.name)
        self._from_cache = self.metrics.server("cache").reads
        servers = [Server(address.host, address.port) for address in settings.servers]
        self.group = Group(settings.name, servers)
        self._security = security
        self.tls = security.clients
        self.channel_binding = security.channel_binding
        self.requires_tls = security.requires_tls
        self.method = Method(settings.auth_type.value)
        self._lasting = secrets.token_bytes(32)
        self._next_token = secrets.randbits(127)

        self.ledger = Ledger(self._new_token(), rules)
        self.planner = Planner(self.ledger)
        self.reader = Reader()
        self.library = Library(lambda: self.planner.generation)
        self.balancer: Balancer[Server] = Balancer()
        self.results: Results | None = None
        if settings.cache:
            store = Store(settings.cache_size_bytes, settings.max_entry_bytes)
            self.results = Results(store, self.ledger, single_flight=settings.single_flight)
        self.router = Router(
            self.group,
            self.ledger,
            self.balancer,
            self,
            secrets.SystemRandom().random,
            share=settings.primary_reads is PrimaryReads.SHARE,
        )
        self.dialect: Dialect = PostgresDialect()
        self.max_queued = MAX_QUEUED
        self.idle_transaction_timeout = settings.idle_transaction_timeout
        self.client_idle_timeout = settings.client_idle_timeout

        password = settings.auth_password
        control = Control(
            user=settings.auth_user,
            password=password.get_secret_value() if password is not None else "",
            database=settings.auth_database,
            application_name=f"tidegate/{self.incarnation} control",
            tls=security.control,
            interval=settings.health_check_interval,
            timeout=settings.server_connect_timeout,
        )
        self.accounts = Accounts(settings, control, self.group, self.clock)
        self.pools = Pools(self._make_pool)
        self.welcomes = Welcomes(self)
        self.commits = Commits(self.ledger, self.planner, self._new_token, self._schema_changed)
        self.catalogs = Catalogs(
            settings, control, self.group, self.planner, self.ledger, self._new_token, self.metrics
        )
        self.witnesses = {server: Witness(server, control, self) for server in servers}
        self.clients: set[ClientConnection] = set()
        self.cancel_keys: dict[int, tuple[bytes, ClientConnection]] = {}
        self._ghosts: set[object] = set()
        self._waiting: dict[Waiter, float] = {}
        self._tickets: dict[Server, Ticket] = {}
        self._readings: dict[Server, Reading] = {}
        self._wanted: dict[Server, Position] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    # Life

    def start(self) -> None:
        """Begin to look at the servers."""
        for witness in self.witnesses.values():
            self._spawn(witness.run())
        self._spawn(self._keep_up())

    async def close(self) -> None:
        """Let clients go, then everything else."""
        self._is_closing = True
        for client in list(self.clients):
            client.refuse(ShuttingDown("terminating connection due to administrator command"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.commits.close()
        self.accounts.close()
        self.catalogs.close()
        await self.pools.close()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.exception("a task ended by a bug", error)

    async def _keep_up(self) -> None:
        """Look after what is overdue."""
        while True:
            await asyncio.sleep(UPKEEP)
            now = self.clock()
            self.pools.upkeep(now)
            for client in list(self.clients):
                session = client.session
                if session is not None and (error := session.tick(now)) is not None:
                    client.refuse(error)
            self._end_long_waits(now)
            for server in self.balancer.bans.due(now):
                self.witnesses[server].poke()

    # Watcher: what the witnesses find

    def met(self, server: Server) -> None:
        """A new incarnation of a server: what was opened to it before is not trusted."""
        self.group.met(server)
        self.router.watermark(server).void()
        for pool in self.pools.on(server):
            pool.retire()

    def asking(self, server: Server) -> None:
        """A witness is being asked: note what its answer will cover."""
        if server is self.group.primary:
            self._tickets[server] = self.ledger.ask_position()
        else:
            watermark = self.router.watermark(server)
            self._readings[server] = watermark.ask(self.ledger.epoch, self.clock())

    def saw(self, server: Server, sighting: Sighting) -> None:
        """A server said what it is and how far it is."""
        turn = self.group.saw(server, sighting)
        ticket = self._tickets.pop(server, None)
        if ticket is not None:
            self.ledger.position_arrived(ticket, sighting.position)
        reading = self._readings.pop(server, None)
        if reading is not None and self.group.follows(server):
            self.router.watermark(server).arrived(reading, sighting.position)
        now = sighting.received_at
        if server.role is not Role.PRIMARY and self.balancer.load(server).latency == 0.0:
            self.balancer.probed(server, now - sighting.sent_at, now)
        if self.balancer.bans.probe_succeeded(server, now):
            log.info("server unbanned", group=self.group.name, server=server.name)
        if turn is not Turn.NOTHING:
            self._turned(server, turn, sighting)

    def lost(self, server: Server, error: str) -> None:
        """A server is out of sight."""
        if self._is_closing:
            return
        ticket = self._tickets.pop(server, None)
        if ticket is not None:
            self.ledger.position_lost(ticket)
        self._readings.pop(server, None)
        self.router.watermark(server).void()
        was_primary = server is self.group.primary
        turn = self.group.lost(server, error)
        if turn is not Turn.NOTHING:
            log.warning(turn.value, group=self.group.name, server=server.name, error=error)
        if not was_primary:
            self.ban(server, BanReason.REFUSED, error)

    def _turned(self, server: Server, turn: Turn, sighting: Sighting) -> None:
        is_expected = turn is Turn.REPLICA_JOINED or (
            turn is Turn.NEW_EPOCH and not self.ledger.epoch
        )
        say = log.info if is_expected else log.warning
        say(turn.value, group=self.group.name, server=server.name, timeline=sighting.timeline)
        if turn is Turn.NEW_EPOCH:
            self._begin_epoch(server, sighting)

    def _begin_epoch(self, primary: Server, sighting: Sighting) -> None:
        """There is a new primary, or a new life of the same: nothing before it counts.

        Before the first statement on it: the ledger begins anew, the catalogs are read again,
        and connections to whoever was the primary before are broken, with what runs on them.
        """
        self.ledger.new_epoch(self._new_token(), sighting.position)
        self.planner.distrust()
        for pool in self.pools:
            if pool.server is not primary:
                for connection in list(pool.book.busy):
                    if not connection.facts.recovering:
                        connection.abort(f"server {pool.server.name} is not the primary any more")
        self.commits.carry_over()
        self.welcomes.forget()
        self.catalogs.restart()
        waiting = list(self._waiting)
        self._waiting.clear()
        waiting += [
            waiter
            for pool in self.pools
            if pool.server is not primary
            for waiter in pool.clear_line()
        ]
        for waiter in waiting:
            waiter.primary_found()

    # Wishes: what the router asks for

    def want_position(self) -> None:
        """The primary's position is needed, to know what a replica must have."""
        primary = self.group.primary
        if primary is not None and self.ledger.position_wanted():
            self.witnesses[primary].want(self.ledger.position_wanted)

    def want_replay(self, server: Server, need: Position) -> None:
        """A replica should be watched until it has replayed this position."""
        self._wanted[server] = max(need, self._wanted.get(server, Position(0)))
        watermark = self.router.watermark(server)

        def still() -> bool:
            return not watermark.reaches(self._wanted[server], self.ledger.epoch)

        self.witnesses[server].want(still)

    # Services: what sessions ask for

    def pool(self, server: Server, profile: Profile) -> Pool:
        """Find the pool of a session's user and database."""
        return self.pools.of(server, profile.user, profile.database)

    def wait_for_primary(self, waiter: Waiter) -> Line:
        """Stand in line for a primary."""
        self._waiting[waiter] = self.clock()
        return self

    def leave(self, waiter: Waiter) -> None:
        """Step out of that line."""
        self._waiting.pop(waiter, None)

    def announce(self, errand: Errand, transaction: Transaction, profile: Profile) -> Mark:
        """Mark what a commit that is about to be sent may change."""
        return self.commits.announce(errand, transaction, profile.database)

    def settle(self, mark: Mark, *, committed: bool, rows: Mapping[Table, int]) -> None:
        """Say what became of it, and how many rows it is known to have written."""
        if committed:
            # Before the mark is released: a count that holds them may come right after.
            for table, number in rows.items():
                self.catalogs.wrote(table, number)
        self.commits.settle(mark, committed=committed)

    def lose(self, mark: Mark, link: Link) -> None:
        """Its connection broke: find out what became of it."""
        self.commits.lose(mark, cast(ServerConnection, link), self.witnesses[link.server])

    def sent(self, errand: Errand, link: Link) -> None:
        """A request was sent to a server."""
        self.balancer.started(link.server)

    def finished(self, errand: Errand, exchange: Exchange) -> None:
        """A request is done: count it."""
        server = errand.server
        if server is None:
            return
        now = self.clock()
        seconds = now - errand.sent_at
        self.balancer.finished(server, seconds, now)
        metrics = self.metrics.server(server.name)
        metrics.latency.record(seconds)
        if errand.is_write:
            self.metrics.writes += 1
        elif errand.is_read:
            metrics.reads.count(errand.reason)
        if errand.uncached is not None:
            self.metrics.uncached.count(errand.uncached)
        if exchange.error is not None:
            self._judge_error(server, exchange.error)

    def abandoned(self, server: Server) -> None:
        """A request ended without an answer."""
        self.balancer.abandoned(server)

    def _judge_error(self, server: Server, error: bytes) -> None:
        if server is self.group.primary and backend.read_error(error).get(b"C") == b"25006":
            self.witnesses[server].poke()  # perhaps it is a replica by now

    def hit(self, errand: Errand) -> None:
        """A request was answered from the cache."""
        self._from_cache.count(Reason.HIT)

    def find_answer(self, answers: dict[bytes, Answer], request: bytes) -> bytes | None:
        """Find the ready answer to a whole request: the hot path."""
        answer = answers.get(request)
        if answer is None:
            return None
        entry = answer.entry
        if not self.ledger.fast_ok(entry.read_set, entry.version, self.clock()):
            return None
        entry.heat += 1
        entry.worth.hits += 1.0
        self._from_cache.count(Reason.HIT)
        return answer.pieces[0]

    def cancel(self, link: Link) -> None:
        """Stop what a link runs; it is lent to nobody else before that has been heard."""
        connection = cast(ServerConnection, link)
        connection.cancelling += 1
        self._spawn(self._cancel(connection))

    async def _cancel(self, link: ServerConnection) -> None:
        try:
            await send_cancel(link, CANCEL_TIMEOUT)
        finally:
            link.cancelling -= 1
            if link.is_returned and not link.cancelling:
                link.is_returned = False
                self.release(link)

    def release(self, link: Link) -> None:
        """Take a link back."""
        connection = cast(ServerConnection, link)
        if connection.cancelling:
            connection.is_returned = True
        else:
            connection.pool.release(connection)

    def gone(self, session: object) -> None:
        """A session is over, and has nothing any more."""
        self._ghosts.discard(session)

    def explain(self, profile: Profile, sql: bytes) -> tuple[list[str], list[list[str]]]:
        """Answer a statement that is meant for the proxy."""
        return answer_for_proxy(self, profile, sql)

    # Logins

    def full(self) -> ClientVisibleError:
        """The error of a client too many."""
        limit = self.settings.max_client_conn
        return TooManyWaiting(f"sorry, too many clients already (max_client_conn = {limit})")

    def new_chance(self) -> Chance:
        """Random bytes for one authentication."""
        return Chance(fresh=secrets.token_bytes(18), lasting=self._lasting)

    async def stored_secret(self, user: str) -> bytes | None:
        """Find what is stored of a user's password."""
        if self.method in (Method.TRUST, Method.CERT) and user not in self.settings.users:
            return None
        return await self.accounts.stored_secret(user)

    def login_failed(self, user: str, error: ClientVisibleError) -> None:
        """A login came to nothing."""
        self.metrics.login_failures.count(error.fault.value)
        self.accounts.forget(user)

    async def welcome(
        self, wish: Startup, user: str, database: str, credentials: Credentials
    ) -> tuple[Profile, bytes]:
        """Make a new client's profile, and the messages that tell it of its session."""
        self.accounts.learn(user, credentials)
        state = startup_state(wish)
        greeting = await self.welcomes.greeting(user, database, state)
        profile = Profile(
            self.planner,
            self.results,
            group=self.group.name,
            user=user,
            database=database,
            startup=state,
            defaults=greeting.defaults,
        )
        self.catalogs.want(database)
        self.metrics.clients += 1
        return profile, greeting.parameters

    def terms(self, user: str) -> Terms:
        """How long a user's clients keep their server connections."""
        mode = self.settings.pool_mode_of(user)
        pins = {PinReason.SESSION_POOL} if mode is PoolMode.SESSION else ()
        return Terms(frozenset(pins), mode is PoolMode.STATEMENT)

    def new_key(self, client: ClientConnection, size: int) -> tuple[int, bytes]:
        """Make the key that cancels a client's statement."""
        while (pid := secrets.randbits(31)) in self.cancel_keys or pid == 0:
            pass
        secret = secrets.token_bytes(size)
        self.cancel_keys[pid] = (secret, client)
        return pid, secret

    def cancel_by_key(self, wish: CancelRequest) -> None:
        """Cancel what the owner of a key runs; a wrong key is met with silence."""
        secret, client = self.cancel_keys.get(wish.pid, (b"", None))
        if client is not None and secrets.compare_digest(secret, wish.secret):
            client.cancel()

    async def open_tunnel(
        self, client: ClientConnection, wish: Startup, proven: Authenticated
    ) -> Tunnel:
        """Open a connection of a client's own to the primary, for a stream of the log."""
        primary = self.group.primary
        if primary is None:
            raise self._no_primary()
        return await Tunnel.open(client, self._address(primary), wish, proven)

    # Parts

    def ban(self, server: Server, reason: BanReason, error: str) -> None:
        """Give a server no statements until it has been found well."""
        if self.balancer.bans.ban(server, self.clock(), reason):
            self.metrics.server(server.name).bans += 1
            log.warning(
                "server banned",
                group=self.group.name,
                server=server.name,
                reason=reason.value,
                error=error,
            )

    def _new_token(self) -> Token:
        self._next_token += 1
        return Token(self._next_token)

    def _schema_changed(self) -> None:
        self.catalogs.check_now()

    def _no_primary(self) -> NoPrimary:
        seen = ", ".join(
            f"{server.name}: {server.last_error or server.role.value}"
            for server in self.group.servers
        )
        return NoPrimary(
            f'no primary in server group "{self.group.name}"'
            f" within {self.settings.query_wait_timeout:g} s",
            detail=seen,
        )

    def _end_long_waits(self, now: float) -> None:
        limit = self.settings.query_wait_timeout
        for waiter, since in list(self._waiting.items()):
            if now - since >= limit:
                self._waiting.pop(waiter, None)
                waiter.not_acquired(self._no_primary())

    def _address(self, server: Server) -> Address:
        settings = self.settings
        return Address(
            server=server,
            tls=self._security.servers,
            sslmode=settings.server_tls_sslmode.value,
            timeout=settings.server_connect_timeout,
            max_prepared=max(1, settings.max_prepared_statements),
        )

    def _make_pool(self, server: Server, user: str, database: str) -> Pool:
        settings = self.settings
        jitter = 0.9 + 0.2 * secrets.SystemRandom().random()
        limits = Limits(
            size=settings.pool_size_of(user),
            minimum=settings.min_pool_size_of(user),
            reserve=settings.reserve_pool_size,
            reserve_after=settings.reserve_pool_timeout,
            wait_timeout=settings.query_wait_timeout,
            idle_timeout=settings.server_idle_timeout or float("inf"),
            lifetime=settings.server_lifetime * jitter or float("inf"),
        )
        parameters = {
            b"user": user.encode("utf-8", "surrogateescape"),
            b"database": database.encode("utf-8", "surrogateescape"),
            b"application_name": f"tidegate/{self.incarnation}".encode(),
        }
        address = self._address(server)

        async def opener() -> ServerConnection:
            connection = await open_connection(
                address,
                parameters,
                self.accounts.credentials(user),
                self.witnesses[server].confirm,
            )
            if connection.transport is not None:
                set_keepalive(connection.transport, settings)
            if server is not self.group.primary:
                watermark = self.router.watermark(server)
                connection.position = ConnectionPosition(watermark, connection.opened_at)
            connection.pool = pool
            return connection

        def unreachable(server: Server, error: str) -> None:
            if server is not self.group.primary:
                self.ban(server, BanReason.REFUSED, error)
            pool.patient = server is self.group.primary

        pool = Pool(
            server,
            user,
            database,
            limits,
            opener,
            settings.server_login_retry,
            unreachable,
        )
        return pool
