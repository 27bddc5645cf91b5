"""One database of another server group, as what is mirrored reaches it: one statement at a time.

A `Lane` is a client of the other group that lives in this process: a session of its own, whose
answers go nowhere. So what clients sent stays as it was, parameters and formats included; it goes
by that group's pools, and what it writes is marked in that group's ledger. It logs in as the
group's control user, to the database of the same name. The group's own rules do not count for it:
its reads are the primary's, uncached, and nothing is mirrored on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, final

from proxy.errors import ClientVisibleError, Fault, IdleTimeout, RemoteProtocolError
from proxy.observe.logs import Logger
from proxy.routing.rules import RuleBook
from proxy.routing.terms import Policy
from proxy.runtime.engine import Answers, Engine
from proxy.runtime.served import Client
from proxy.session.copies import Copy
from proxy.session.ports import Link, Services, Terms
from proxy.session.session import Session
from proxy.session.traces import Traces
from proxy.settings.model import ServerGroup
from proxy.settings.rule import Rule
from proxy.settings.values import RouteTo
from proxy.types import Ending, Mirrored
from proxy.wire.requests import Request
from proxy.wire.status import IDLE

log = Logger("mirrors")

TIME_LIMIT: Final = 10.0
"""Seconds for one statement, waiting for a connection included; then it is cancelled."""

GRACE: Final = 2.0
"""Seconds until a server that does not even hear of that is hung up on."""

RETRY: Final = 5.0
"""Seconds in which nothing is tried after a database has let nobody in."""

IDLE_FOR: Final = 60.0
"""Seconds without a statement, after which a lane's session ends."""

_SERVED: Final = Rule(name="mirror", route=RouteTo.PRIMARY, timeout=TIME_LIMIT)


class Target(Services, Protocol):
    """Another server group at work."""

    settings: ServerGroup
    engine: Engine
    traces: Traces

    def enter(self, client: Client, /) -> None:
        """A client is there."""

    def left(self, client: Client, /) -> None:
        """It is there no more."""


class Backlog(Protocol):
    """All that waits for one other group.

    Attributes:
        target: The group.
        waiting: How many statements wait.
        bytes: How large they are, together.
    """

    target: Target
    waiting: int
    bytes: int

    def leave(self, lane: Lane, /) -> None:
        """A lane has nothing to do, and has had nothing for long."""


@final
class Void:
    """The shell of one of a lane's sessions, which may have something to say after its end."""

    __slots__ = ("answers", "lane")

    def __init__(self, lane: Lane, answers: Answers) -> None:
        self.lane: Lane | None = lane
        self.answers = answers

    def write(self, data: bytes) -> None:
        """Throw an answer away; what matters of it is whether it is an error, and its end."""
        if self.lane is None:
            return
        self.lane.sent += len(data)
        for status in self.answers.feed(data):
            if status is None:
                self.lane.has_failed()
            else:
                self.lane.is_ready(status)

    def close(self, reason: str, cause: Ending | Fault) -> None:
        """The session can't go on."""
        if self.lane is not None:
            self.lane.part_soon(self)

    def pause_reading(self) -> None:
        """There is never more than one statement under way."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def begin_anew(self, request: Request, link: Link | None) -> None:
        """What is mirrored does not ask for that."""


@final
class Lane:
    """One session after the other; see the module. It is a client of the other group.

    Args:
        backlog: What it is part of.
        database: Where its statements are run.
        clock: Seconds.
    """

    __slots__ = (
        "_backlog",
        "_clock",
        "_has_failed",
        "_idle_since",
        "_is_busy",
        "_is_closed",
        "_limit",
        "_opening",
        "_queue",
        "_retry_at",
        "_session",
        "_shell",
        "_status",
        "_under_way",
        "database",
        "received",
        "sent",
    )

    def __init__(self, backlog: Backlog, database: str, clock: Callable[[], float]) -> None:
        self.database = database
        self.received = 0
        self.sent = 0
        self._backlog = backlog
        self._clock = clock
        self._queue: deque[Copy] = deque()
        self._session: Session | None = None
        self._shell: Void | None = None
        self._under_way: Copy | None = None
        self._has_failed = False
        self._status = IDLE
        self._limit: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._is_busy = False
        self._is_closed = False
        self._retry_at = 0.0
        self._idle_since = clock()

    def take(self, copy: Copy) -> bool:
        """Take a statement; False: its database lets nobody in."""
        if self._is_closed or self._clock() < self._retry_at:
            return False
        self._queue.append(copy)
        self._backlog.waiting += 1
        self._backlog.bytes += len(copy.data)
        if not self._is_busy:
            self._is_busy = True
            self._go_on()
        return True

    def close_for_good(self) -> None:
        """Stop."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
        self._drop_waiting()
        self._part()

    # Statements, one after the other

    def _go_on(self) -> None:
        """Never from within a callback of either session: later."""
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        if self._under_way is not None or self._opening is not None:
            return
        session = self._session
        if session is not None and (self._status != IDLE or session.pins):
            self._part()  # what was left open or behind is nobody else's
            session = None
        if not self._queue or self._is_closed:
            self._is_busy = False
            self._idle_since = self._clock()
            return
        if session is None:
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening = task
            task.add_done_callback(self._is_open)
            return
        copy = self._under_way = self._pop()
        self._has_failed = False
        self.received += len(copy.data)
        if self._shell is not None:
            self._shell.answers.ask(copy.data)
        loop = asyncio.get_running_loop()
        self._limit = loop.call_later(TIME_LIMIT + GRACE, self._give_up)
        try:
            session.receive(copy.data)
        except RemoteProtocolError as error:
            self.refuse(error)

    def _pop(self) -> Copy:
        copy = self._queue.popleft()
        self._backlog.waiting -= 1
        self._backlog.bytes -= len(copy.data)
        return copy

    def _drop_waiting(self) -> None:
        while self._queue:
            self._pop().rule.mirrored.count(Mirrored.DROPPED)

    def _end(self, outcome: Mirrored) -> None:
        copy, self._under_way = self._under_way, None
        if copy is None:
            return
        copy.rule.mirrored.count(outcome)
        if self._limit is not None:
            self._limit.cancel()
        self._go_on()

    def _give_up(self) -> None:
        """Its server does not even hear that it is to stop."""
        session = self._session
        if session is not None and session.link is not None:
            session.link.abort("a mirrored statement took too long")
        self._part()

    def _part(self) -> None:
        """End the session; what it runs is cancelled."""
        session, self._session = self._session, None
        if self._shell is not None:
            self._shell.lane = None
        if session is not None:
            self._backlog.target.left(self)
            session.client_gone()
        self._end(Mirrored.FAILED)

    # A session is opened

    async def _open(self) -> None:
        target = self._backlog.target
        async with asyncio.timeout(TIME_LIMIT):
            visit = await target.engine.visit(self.database, Policy(book=RuleBook((_SERVED,))))
        self._shell = Void(self, visit.answers)
        self._status = IDLE
        terms = Terms()
        self._session = Session(
            target, self._shell, visit.engine, visit.profile, terms, target.traces
        )
        target.enter(self)

    def _is_open(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._retry_at = self._clock() + RETRY
            if self._queue:
                self._pop().rule.mirrored.count(Mirrored.FAILED)
            self._drop_waiting()
            if isinstance(error, ClientVisibleError | TimeoutError):
                log.warning(
                    "a database to mirror to lets nobody in",
                    group=self._backlog.target.settings.name,
                    database=self.database,
                    error=str(error) or f"no answer within {TIME_LIMIT:g} s",
                )
            else:
                log.exception("a task ended by a bug", error)
        self._next()

    # From the session's shell

    def has_failed(self) -> None:
        """There was an error."""
        self._has_failed = True

    def is_ready(self, status: int) -> None:
        """The answer is whole."""
        self._status = status
        self._end(Mirrored.FAILED if self._has_failed else Mirrored.SENT)

    def part_soon(self, shell: Void) -> None:
        """The session can't go on."""
        asyncio.get_running_loop().call_soon(self._part_from, shell)

    def _part_from(self, shell: Void) -> None:
        if shell is self._shell:
            self._part()

    # Client, for the other group

    @property
    def catalog(self) -> str:
        """The database whose catalog it uses."""
        return self.database

    def why_overdue(self, now: float) -> ClientVisibleError | None:
        """Say whether it has had nothing to do for long."""
        if self._is_busy and self._session is not None:
            return self._session.tick(now)
        if not self._is_busy and now - self._idle_since >= IDLE_FOR:
            return IdleTimeout("nothing is mirrored")
        return None

    def follow_policy(self) -> None:
        """The other group's rules do not count here."""

    def refuse(self, error: ClientVisibleError) -> None:
        """Hang up."""
        self._part()
        if not self._is_busy:
            self._backlog.leave(self)
