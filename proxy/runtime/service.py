"""One server group at work: what its clients' sessions ask for.

The decisions are made elsewhere (ledger, router, planner, books); what a session asks of one of
the group's `parts` is passed on to it. What the witnesses find is told by `watcher`, who is let in
by `logins`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from math import inf
from typing import Any, Final, cast, final

from proxy.cache.entry import Answer
from proxy.errors import ShuttingDown
from proxy.freshness.frames import UNKNOWN, Claim, Wrote
from proxy.freshness.handed import Handed
from proxy.freshness.ledger import ALL_RULES
from proxy.freshness.mark import Mark
from proxy.freshness.rules import Rules
from proxy.freshness.tally import Tally
from proxy.observe.logs import Logger
from proxy.routing.rules import Match
from proxy.runtime.audits import Audits
from proxy.runtime.engine import NewEngine
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.parts import GroupParts
from proxy.runtime.pools import Pool
from proxy.runtime.seat import Words
from proxy.runtime.security import Security
from proxy.runtime.served import Client
from proxy.runtime.server import ServerConnection
from proxy.session.copies import Copy
from proxy.session.errand import Errand
from proxy.session.explain import answer_for_proxy
from proxy.session.late import Held
from proxy.session.ports import Asker, Audit, Holder, Line, Link, Throttled, Waiter
from proxy.session.profile import Profile
from proxy.session.transaction import Transaction
from proxy.settings.model import ServerGroup
from proxy.settings.values import OutOfBand, Transactions
from proxy.topology.group import Server
from proxy.types import ALL_OID, Position, Reason, Table
from proxy.wire.exchange import Exchange
from proxy.wire.requests import Execution

log = Logger("group")

UPKEEP: Final = 0.5
"""Seconds between two looks at what is overdue."""

MAX_QUEUED: Final = 1024 * 1024
"""Bytes of requests that may wait behind the one being served, before a client is paused."""

CANCEL_TIMEOUT: Final = 5.0

MISREAD_INTERVAL: Final = 60.0
"""Seconds between two lines in the log about hints that are not understood."""


@final
class GroupService(GroupParts):
    """See the module. Made in a running loop; `start` sets it to work.

    Args:
        settings: Of the group.
        security: TLS both ways.
        new_engine: Makes its engine.
        rules: All on, except in tests.
        fellowship: Of the fleet that it is a member of; None: it is alone.
    """

    def __init__(
        self,
        settings: ServerGroup,
        security: Security,
        new_engine: NewEngine,
        rules: Rules = ALL_RULES,
        fellowship: Fellowship | None = None,
    ) -> None:
        super().__init__(settings, security, new_engine, rules, fellowship)
        self.max_queued = MAX_QUEUED
        self.is_strict = settings.out_of_band is OutOfBand.STRICT
        if self.is_strict:
            # No answer is ready before it has been waited for; not asked for each, as most have it.
            self.find_answer = _no_answer  # type: ignore[method-assign]
        self.late_begin = settings.transactions is Transactions.LATE
        self.idle_transaction_timeout = settings.idle_transaction_timeout
        self.client_idle_timeout = settings.client_idle_timeout
        self.clients: set[Client] = set()
        self._from_cache = self.metrics.server("cache").reads
        self.audits = Audits(self, self._new_token)
        self.audit: Audit = self.audits
        self._sampler = self.audits.sampler
        self._from_second = self._from_cache
        if self.shelf is not None:
            self._from_second = self.metrics.server("cache_l2").reads
        self._misread_said_at = -inf
        self._tasks: set[asyncio.Task[Any]] = set()
        self.pass_on: Callable[[Words], None] = _to_nobody
        self.engine.serve(self)

    # Life

    def start(self) -> None:
        """Begin to look at the servers."""
        for witness in self.watcher.witnesses.values():
            self._spawn(witness.run())
        self._spawn(self._keep_up())
        if self.shelf is not None:
            self.shelf.start(self._spawn)

    def sit_down(self, number: int, count: int) -> None:
        """Be one of several processes of this host: what is counted here must differ from theirs.

        Args:
            number: From 1.
            count: Of processes.
        """
        self.engine.sit_down(number, count)

    async def close(self) -> None:
        """Let clients go, then everything else."""
        self.watcher.close()
        for client in list(self.clients):
            client.refuse(ShuttingDown("terminating connection due to administrator command"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.audits.close()
        self.lost_commits.close()
        self.engine.close()
        await self.catalogs.close()
        await self.pools.close()
        if self.member is not None:
            await self.member.leave()
        if self.shelf is not None:
            await self.shelf.close()

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
                if (error := client.why_overdue(now)) is not None:
                    client.refuse(error)
            self.line.end_long_waits(now)
            self.throttles.upkeep(now)
            self.audits.upkeep(now)
            self.catalogs.let_go({client.catalog for client in self.clients}, now)

    # Services: what sessions ask for

    def pool(self, server: Server, profile: Profile) -> Pool:
        """Find the pool of a session's user and database."""
        return self.pools.of(server, profile.user, self.engine.pool_of(profile))

    def wait_for_primary(self, waiter: Waiter) -> Line:
        """Stand in line for a primary."""
        self.line.join(waiter)
        return self.line

    def hand(self, text: str) -> Handed:
        """Take a position that a client has set."""
        return Handed(self.engine.places.read(text), self.clock())

    def tell_position(self, asker: Asker) -> Line:
        """Stand in line to be told where the primary is."""
        self.position_line.join(asker)
        return self.position_line

    def announce(self, errand: Errand, transaction: Transaction, profile: Profile) -> Mark:
        """Mark what a commit that is about to be sent may change."""
        for plan in errand.plans:
            for database in plan.statement.vacated:
                self.engine.vacate(database, profile.role)
        mark = self.commits.announce(errand, transaction, profile.database)
        self.metrics.commits.count(_how_known(mark, transaction))
        return mark

    def tally(self, profile: Profile) -> Tally | None:
        """See `proxy.session.ports.Services`."""
        return self.catalogs.tally(profile.database)

    def hold(self, mark: Mark, link: Link) -> None:
        """Keep back what is sent until all members know of a commit."""
        if self.member is not None:
            self.member.announcing.waits.hold(mark, cast(ServerConnection, link))

    def settle(
        self,
        mark: Mark,
        *,
        committed: bool,
        rows: Mapping[Table, int],
        position: Position | None = None,
        gtid: str = "",
    ) -> None:
        """Say what became of it."""
        if committed:
            # Before the mark is released: a count that holds them may come right after.
            claims = (Claim(mark.tables, (gtid,)),) if gtid and self.catalogs.claims else ()
            if rows or claims:
                token = mark.token if mark.is_ahead else UNKNOWN
                written = Wrote(token, tuple(rows.items()), claims)
                self.catalogs.wrote(mark, written)
                if self.member is not None:
                    self.member.fleet.wrote(written)
        self.commits.settle(mark, committed=committed, position=position)

    def keep(self, mark: Mark) -> None:
        """Keep its tables with the primary for good: no replica will ever have what it wrote."""
        self.commits.settle(mark, committed=True, is_kept=True)

    def lose(self, mark: Mark, link: Link) -> None:
        """Its connection broke: find out what became of it."""
        witness = self.watcher.witnesses[link.server]
        self.lost_commits.look_for(mark, cast(ServerConnection, link), witness)

    def sent(self, link: Link) -> None:
        """A request was sent to a server."""
        self.balancer.started(link.server)

    def finished(self, errand: Errand, exchange: Exchange) -> None:
        """A request is done: count it."""
        self._has_ended(errand)
        server = errand.server
        if server is None:
            return
        now = self.clock()
        if errand.patience:
            self.balancer.abandoned(server)  # what has waited says nothing of the speed
        else:
            # How long the rest of a result takes is up to its size, and to its client.
            self.balancer.finished(server, (errand.answered_at or now) - errand.sent_at, now)
        metrics = self.metrics.server(server.name)
        metrics.latency.record(now - errand.sent_at)
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
        if server is self.group.primary and self.engine.is_read_only(error):
            self.watcher.witnesses[server].poke()  # perhaps it is a replica by now

    def hit(self, errand: Errand) -> None:
        """A request was answered from the cache."""
        self._has_ended(errand)
        (self._from_second if errand.is_fetched else self._from_cache).count(Reason.HIT)

    def held_back(self, outcome: Held) -> None:
        """Something has become of a transaction that was held back."""
        self.metrics.transactions.count(outcome.value)

    def throttle(
        self, rule: Match, waiter: Throttled, is_running: Callable[[], bool]
    ) -> Line | None:
        """Ask to be let through by a rule."""
        if rule.throttle is None:
            return None
        line = self.throttles.line(rule, rule.throttle)
        return None if line.enter(waiter, is_running) else line

    def _has_ended(self, errand: Errand) -> None:
        """Forget what was kept for a statement while it was under way."""
        if errand.timer is not None:
            errand.timer.cancel()
        terms = errand.terms
        if terms is not None and terms.rule is not None and terms.rule.throttle is not None:
            self.throttles.ended(terms.rule)

    def confirm(self, waiter: Throttled, profile: Profile) -> Line | None:
        """Have it found out what others have committed by now; None: it can't be."""
        return self.catalogs.confirm(profile.database, waiter)

    def mirror(self, copies: Sequence[Copy], database: str, owner: object) -> None:
        """Send statements to other server groups too, and wait for nothing."""
        self.mirrors.take(copies, database, owner)

    def misread(self, word: str) -> None:
        """A hint was not understood."""
        self.metrics.hints_misread += 1
        now = self.clock()
        if now - self._misread_said_at >= MISREAD_INTERVAL:
            self._misread_said_at = now
            log.warning("a hint is not understood", group=self.settings.name, word=word)

    def limit(self, errand: Errand, seconds: float, stop: Callable[[], None]) -> None:
        """Stop an errand that takes too long."""
        errand.timer = asyncio.get_running_loop().call_later(seconds, stop)

    def follow(self, settings: ServerGroup) -> None:
        """Take other rules and another contract, for clients that are there too."""
        self._take_policy(settings)
        for client in list(self.clients):
            client.follow_policy()
        self.throttles.follow(self.policy.book.matches)
        self.audits.follow(settings)

    def find_answer(self, answers: dict[bytes, Answer], request: bytes) -> bytes | None:
        """Find the ready answer to a whole request: the hot path."""
        answer = answers.get(request)
        if answer is None:
            return None
        entry = answer.entry
        now = self.clock()
        if not self.ledger.fast_ok(entry.read_set, entry.version, now):
            return None
        if self._sampler.counts():
            return None  # it is answered where more is known of it
        if answer.limits is not None and not answer.limits.allow(entry, now):
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
            await self.engine.cancel(link, CANCEL_TIMEOUT)
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

    def offer(self, link: Link, holder: Holder) -> None:
        """Have a link asked for that is kept, once others wait for it."""
        connection = cast(ServerConnection, link)
        connection.pool.offer(connection, holder)

    def gone(self, session: object) -> None:
        """A session is over, and has nothing any more: nothing here was kept for it either."""

    def explain(
        self, profile: Profile, asked: Execution, blocked: Reason | None
    ) -> tuple[list[str], list[list[str]]]:
        """Answer a statement that is meant for the proxy."""
        return answer_for_proxy(self, profile, asked, blocked)

    # Clients that no port has accepted

    def enter(self, client: Client) -> None:
        """One is there."""
        self.clients.add(client)

    def left(self, client: Client) -> None:
        """It is there no more."""
        self.clients.discard(client)
        self.metrics.gone_in += client.received
        self.metrics.gone_out += client.sent


def _to_nobody(words: Words) -> None:
    """Say something to the other processes of this host, where there are none."""


def _no_answer(answers: dict[bytes, Answer], request: bytes) -> bytes | None:
    return None


def _how_known(mark: Mark, transaction: Transaction) -> str:
    """Say how it is known what a commit changes, for the metrics."""
    if any(table.oid == ALL_OID for table in mark.tables):
        is_counted = transaction.tally is not None and transaction.tally.counters is not None
        return "counted" if is_counted else "everything"
    return "discovered" if transaction.is_discovered else "planned"
