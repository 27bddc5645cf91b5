"""One client's conversation: what becomes of each request.

A request is taken up when the one before it is done. It is answered at once where that can be
done; else it becomes an `Errand`: a route is chosen, a server connection acquired, what must come
first is sent in front, the answer is passed on as it comes, and when the server is ready again
the consequences are drawn. Everything here is synchronous; what has to be waited for comes back
as a call: `acquired`, `server_data`, `server_lost`.

The rule that decides every read and every commit is docs/freshness.md; its tests are called in
`_first_word` (validation) and `_send` (the mark), its bookkeeping in `_settle_mark`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, unique
from typing import Final, final

from proxy.cache.entry import Answer
from proxy.cache.flight import FAILED, NOT_STORED, Landing
from proxy.errors import (
    Cancelled,
    ClientVisibleError,
    IdleTimeout,
    IdleTransactionTimeout,
    OutcomeUnknown,
    RemoteProtocolError,
    ServerLost,
    Unsupported,
)
from proxy.routing.plan import Plan
from proxy.routing.reading import UNREAD, UNREADABLE, Reading
from proxy.session.effects import COMMANDS, apply_effects
from proxy.session.errand import Errand
from proxy.session.pins import (
    HARMLESS,
    QUESTION,
    UNDONE_BY_NOTHING,
    may_have_unpinned,
    read_answer,
    settings_question,
)
from proxy.session.ports import Line, Link, Services, Shell, Terms
from proxy.session.profile import Profile
from proxy.session.results import plain_bind_of
from proxy.session.sequences import asks_sequences, touches_sequences
from proxy.session.state import UNTOUCHED
from proxy.session.transaction import Transaction, has_control, has_ended, may_commit
from proxy.sql.session_commands import Deallocate, read_command
from proxy.sql.statement import Kind
from proxy.topology.group import Server
from proxy.types import PinReason, Reason
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.exchange import Exchange, Prelude
from proxy.wire.postgres.requests import ClientEngine, End, Execution, Item, Request


@unique
class Phase(Enum):
    """What a session is doing."""

    FREE = "free"  # between requests, perhaps in a transaction
    WAITING = "waiting"  # for a server connection, a primary, or another's result
    SETTING = "setting"  # the client's settings are being made, before its request is sent
    RUNNING = "running"  # a request is with the server
    OPEN = "open"  # a batch is with the server, and the client has not ended it yet
    ASKING = "asking"  # a question of our own, before the connection is given back
    OVER = "over"


FREE: Final = Phase.FREE
WAITING: Final = Phase.WAITING
SETTING: Final = Phase.SETTING
RUNNING: Final = Phase.RUNNING
OPEN: Final = Phase.OPEN
ASKING: Final = Phase.ASKING
OVER: Final = Phase.OVER

_COPY: Final = (End.COPY, End.COPY_END)

FLIGHT_WAIT: Final = 1.0
"""Seconds to wait for another session's identical read: its client or its limits may be others."""


@final
class Session:
    """See the module.

    Attributes:
        answers: Whole requests that can be answered as they are received; None while none can.
        named: The same for statements that this client has prepared, by their names.
        pins: Why the client keeps its server connection; empty: it does not.
    """

    __slots__ = (
        "_engine",
        "_errand",
        "_farewell",
        "_gone",
        "_home",
        "_is_pouring",
        "_is_slow",
        "_line",
        "_link",
        "_named_in",
        "_notices",
        "_phase",
        "_queue",
        "_queued",
        "_sequences",
        "_services",
        "_shell",
        "_sink",
        "_skipping",
        "_terms",
        "_transaction",
        "answers",
        "idle_since",
        "named",
        "pins",
        "profile",
    )

    def __init__(
        self,
        services: Services,
        shell: Shell,
        engine: ClientEngine,
        profile: Profile,
        terms: Terms,
    ) -> None:
        self._services = services
        self._shell = shell
        self._engine = engine
        self.profile = profile
        self._phase = FREE
        self._queue: deque[Request] = deque()
        self._queued = 0  # bytes
        self._errand: Errand | None = None
        self._link: Link | None = None  # in use, or kept for an open transaction
        self._home: Link | None = None  # kept for a pinned client
        self._line: Line | None = None
        self._skipping = False  # everything up to a Sync, after an error in an open batch
        self._is_pouring = False  # a large message: its request is being served
        self._sink: Link | None = None  # and has been sent in part
        self._notices = b""  # of the connection kept, until no answer is in the way
        self._transaction = Transaction()
        self._gone = False  # the client is
        self._sequences: Link | None = None  # that knows what currval() and lastval() are
        self._is_slow = False  # the client is: it has been told of more than it has taken
        self._farewell = False  # its connection is being cleaned up
        self.named: dict[bytes, dict[bytes, Answer]] = {}
        self._named_in = profile.context
        self._terms = terms
        self.pins: set[PinReason] = set(terms.pins)
        self.idle_since = services.clock()
        self.answers = profile.answers

    # What the client sends

    def receive(self, data: bytes) -> None:
        """Take bytes from the client.

        Raises:
            RemoteProtocolError: They are not the protocol's.
        """
        self.answers = None
        engine = self._engine
        engine.search_path = self.profile.scope.search_path
        requests = engine.feed(data)
        if engine.is_streaming and not requests:
            self._pour()
        for request in requests:
            self._queue.append(request)
            self._queued += request.size
        self._pump()

    def _pump(self) -> None:
        """Take up requests for as long as they can be taken up."""
        queue = self._queue
        while queue and self._may_take(queue[0]):
            request = queue.popleft()
            self._queued -= request.size
            self._take(request)
        if self._phase is FREE and not queue:
            self._rest()
        elif self._queued > self._services.max_queued or (
            self._engine.is_streaming and not self._is_pouring
        ):
            self._shell.pause_reading()

    def _may_take(self, request: Request) -> bool:
        phase = self._phase
        if phase is FREE:
            return not self._is_slow  # or what it is told would pile up here
        if phase is OPEN:
            return True
        if phase is not RUNNING:
            return False
        return request.end in _COPY or (self._link is not None and self._link.exchange.copying_in)

    def _rest(self) -> None:
        """Nothing is to be done: what comes next may be answered as it is received."""
        self._shell.resume_reading()
        if (
            self._link is None
            and not self._skipping
            and not self._is_slow
            and self._engine.is_between
            and self.pins <= HARMLESS
        ):
            self.answers = self.profile.answers
        if self.profile.context is not self._named_in:
            self.named.clear()
        self._give_notices()

    def _take(self, request: Request) -> None:
        if request.end in _COPY:
            self._copy(request)
        elif request.end is End.TERMINATE:
            self._shell.close("client said goodbye")
        elif self._link is not None and self._link.exchange.copying_in:
            self._interrupt_copy(request)
        elif self._skipping:
            self._skip(request)
        elif self._phase is OPEN:
            self._continue(request)
        else:
            self._begin(request)

    def _copy(self, request: Request) -> None:
        """Pass COPY data on, as it may come before the server has asked for it.

        When the COPY has failed a server drops what still comes; so do we, once it is ready.
        """
        link = self._link if self._phase is not FREE else None
        if link is not None:
            link.write(link.exchange.copy(request))
        if request.streams:
            self._pour_into(link)

    def _interrupt_copy(self, request: Request) -> None:
        """While a server waits for rows it passes over a Sync, and can't bear anything else."""
        for item in request.items:
            if item.tag not in _PASSED_OVER:
                text = f"unexpected message type 0x{item.tag:02X} during COPY from stdin"
                self._shell.write(self._services.dialect.error(RemoteProtocolError(text)))
                self._shell.close(text)
                return

    def _skip(self, request: Request) -> None:
        self._engine.undo(request, 0)
        if request.streams:
            self._pour_into(None)
        if request.end is End.READY and not request.simple:
            self._skipping = False
            self._shell.write(self._services.dialect.ready(tags.IDLE))

    def _pour_into(self, link: Link | None) -> None:
        """Pass on the rest of a large message whose beginning was sent; None: drop it."""
        self._is_pouring = True
        self._sink = link
        self._pour()

    def _pour(self) -> None:
        """Pass on what has come of a large message."""
        engine = self._engine
        while engine.is_streaming and self._is_pouring:
            piece = engine.take()
            if not piece:
                return
            if self._sink is not None:
                self._sink.write(piece)
            if not engine.is_streaming:
                self._is_pouring = False
                self._sink = None
                for request in engine.feed(b""):
                    self._queue.append(request)
                    self._queued += request.size

    # What becomes of a request

    def _begin(self, request: Request) -> None:
        if request.undo:
            self.named.clear()
        self.idle_since = self._services.clock()
        link = self._link
        if _is_only(request, tags.FLUSH):
            return
        if link is None and _is_only(request, tags.SYNC):
            self._shell.write(self._services.dialect.ready(tags.IDLE))
            return
        readings = [self._read(execution) for execution in request.executions]
        errand = Errand(request, self._plan(readings))
        plans = errand.plans
        errand.texts = tuple(text for reading in readings for text in reading.texts)
        self._errand = errand
        if self._deallocates_ours(errand):
            self._errand = None
            status = tags.IDLE if link is None else link.exchange.status
            self._shell.write(self._services.dialect.said(request, b"DEALLOCATE", status))
        elif link is not None:
            errand.reason = Reason.TRANSACTION
            self._send(errand, link)
        elif len(plans) == 1 and plans[0].statement.kind is Kind.PROXY:
            self._answer_ourselves(errand)
        elif self._terms.one_statement and has_control(plans):
            self._fail(errand, Unsupported("transactions are not possible in statement pool mode"))
        elif self._may_be_fast(errand):
            errand.fast = plans[0]
            errand.clock = readings[0].clock
            self._read_fast(errand)
        else:
            self._to_primary(errand)

    def _deallocates_ours(self, errand: Errand) -> bool:
        """Tell if this is DEALLOCATE of a statement that the client prepared by the protocol.

        The server knows it by another name, under which others use it: it is only forgotten here.
        """
        plans = errand.plans
        if len(plans) != 1 or plans[0].statement.kind is not Kind.DEALLOCATE:
            return False
        if self._link is not None and self._link.exchange.status == tags.FAILED:
            return False
        command = read_command(errand.texts[0])
        if not isinstance(command, Deallocate) or command.name is None:
            return False
        self.named.clear()
        return self._engine.deallocate(command.name.encode())

    def _plan(self, readings: list[Reading]) -> tuple[Plan, ...]:
        scope, planner = self.profile.scope, self._services.planner
        plans = tuple(
            planner.plan(scope, statement)
            for reading in readings
            for statement in reading.statements
        )
        if any(plan.statement.kind is Kind.EXECUTE for plan in plans):
            texts = [text for reading in readings for text in reading.texts]
            return tuple(map(self._plan_executed, plans, texts))
        return plans

    def _plan_executed(self, plan: Plan, text: bytes) -> Plan:
        """EXECUTE does what was prepared under its name."""
        if plan.statement.kind is not Kind.EXECUTE:
            return plan
        scope, planner, reader = self.profile.scope, self._services.planner, self._services.reader
        body = self.profile.prepared_body(text)
        statement = UNREAD if body is None else reader.read(body).statements[0]
        if plan.writes:
            statement = UNREAD  # its arguments call what may write
        found = planner.plan(scope, statement)
        # A read by this name can't leave the primary: to others the name means something else.
        return plan if found.read_set is not None else found

    def _answer_ourselves(self, errand: Errand) -> None:
        """EXPLAIN ROUTE and SHOW tidegate.x: the proxy itself is asked."""
        self._errand = None
        answer = self._services.explain(self.profile, errand.texts[0])
        columns, rows = answer
        self._shell.write(self._services.dialect.table(errand.request, columns, rows))

    def _read(self, execution: Execution) -> Reading:
        """Say what an execution's text asks for; a prepared statement's is kept with it."""
        if not self.profile.is_readable:
            return UNREADABLE
        prepared = execution.prepared
        if prepared is None:
            sql = execution.sql
            return UNREADABLE if sql is None else self._services.reader.read(sql)
        meaning = prepared.meaning
        if isinstance(meaning, Reading):
            return meaning
        reading = self._services.reader.read(prepared.sql)
        prepared.meaning = reading
        return reading

    def _may_be_fast(self, errand: Errand) -> bool:
        """Tell if a request is one proven read, in a session where that says everything."""
        plans = errand.plans
        if len(plans) != 1:
            errand.reason = Reason.SEVERAL if plans else Reason.UTILITY
            return False
        errand.reason = plans[0].reason
        if plans[0].read_set is None:
            return False
        if errand.request.end is not End.READY:
            errand.reason = Reason.PIPELINE
            return False
        blocked = self.profile.blocked
        if blocked is None and self.pins and not self.pins <= HARMLESS:
            blocked = Reason.PINNED
        if blocked is not None:
            errand.reason = blocked
            return False
        return True

    def _read_fast(self, errand: Errand) -> None:
        services = self._services
        plan = errand.fast
        assert plan is not None
        assert plan.read_set is not None
        now = services.clock()
        errand.version = services.ledger.version(plan.read_set)
        results = services.results
        if results is not None and errand.attempts == 0:
            answer = results.find(self.profile, errand, now)
            if answer is not None:
                self._hit(errand, answer)
                return
            if results.join(errand, self):
                self._phase = WAITING
                return
        server, errand.reason = services.router.choose(plan.read_set, now)
        if server is None:
            self._to_primary(errand)
            return
        errand.server = server
        errand.need = services.ledger.need(plan.read_set)
        self._acquire(errand, server)

    def _hit(self, errand: Errand, answer: bytes) -> None:
        self._errand = None
        self._phase = FREE
        self._services.hit(errand)
        self._shell.write(answer)
        self._engine.forget_portals()
        prepared = plain_bind_of(errand.request)
        context = self.profile.context
        if prepared is not None and context is not None and self._services.results is not None:
            # The next one like it is answered without being read.
            name = errand.request.items[0].name
            self._named_in = context
            self.named[name] = self._services.results.answers_of(context, prepared)

    def flight_landed(self, landing: Landing) -> None:
        """The result that another session was fetching has come, or did not."""
        errand = self._errand
        if errand is None or self._phase is not WAITING:
            return
        errand.flight = None
        errand.alone = landing is NOT_STORED
        self._phase = FREE
        self._read_fast(errand)
        self._pump()

    def _to_primary(self, errand: Errand) -> None:
        errand.server = errand.need = None
        errand.rejected = False
        if errand.fast is not None and errand.fast.read_set is not None:
            errand.version = self._services.ledger.version(errand.fast.read_set)
        primary = self._services.router.primary
        if primary is None:
            self._phase = WAITING
            self._line = self._services.wait_for_primary(self)
            return
        errand.server = primary
        if self._home is not None:
            self._link, self._home = self._home, None
            self._send(errand, self._link)
            return
        self._acquire(errand, primary)

    def _acquire(self, errand: Errand, server: Server) -> None:
        pool = self._services.pool(server, self.profile)
        link = pool.try_acquire(self.profile.state, self._sequences)
        if link is not None:
            self.acquired(link)
            return
        self._phase = WAITING
        self._line = pool
        pool.wait(self)

    # What those say that were waited for

    def primary_found(self) -> None:
        """There is a primary again."""
        errand = self._errand
        if errand is None or self._phase is not WAITING:
            return
        self._line = None
        self._phase = FREE
        self._to_primary(errand)

    def acquired(self, link: Link) -> None:
        """The link is ours."""
        errand = self._errand
        self._line = None
        self._link = link
        link.lend(self)
        if errand is None or self._phase is OVER:
            self._give_back(link)
            return
        if link.shape != self.profile.shape and not self._bears_other_defaults(errand, link):
            return
        self._send(errand, link)
        if self._phase is not WAITING:
            self._pump()

    def _bears_other_defaults(self, errand: Errand, link: Link) -> bool:
        """Judge a connection whose login began with other defaults than the client's; see `shape`.

        A replica may be configured differently, and defaults may have changed since. Then a
        replica would answer in other words, so the primary is asked, and nothing is kept.
        """
        if self._services.results is not None:
            self._services.results.land(errand, NOT_STORED)
        if errand.need is None:
            return True
        errand.reason = Reason.SETTINGS
        self._link = None
        self._give_back(link)
        self._to_primary(errand)
        return False

    def not_acquired(self, error: ClientVisibleError) -> None:
        """There is no link to be had."""
        errand = self._errand
        self._line = None
        if errand is None or self._phase is not WAITING:
            return
        self._phase = FREE
        if errand.need is not None:  # a replica let us down: the primary has it
            errand.reason = Reason.REPLICA_FAILED
            self._to_primary(errand)
            return
        self._fail(errand, error)
        self._pump()

    # Sending

    def _send(self, errand: Errand, link: Link) -> None:
        exchange = link.exchange
        request = errand.request
        services = self._services
        pieces: list[bytes] = []
        if (changes := self._changes(errand, link)) is not None:
            if errand.fast is None:
                # Nothing may be run under other settings than its client's, so these come first.
                self._phase = SETTING
                link.write(exchange.ask(changes))
                return
            pieces.append(exchange.prelude(Prelude.STATE, changes))
        if errand.need is not None and not link.believes(errand.need, services.ledger.epoch):
            question = services.dialect.reached(errand.need)
            pieces.append(exchange.prelude(Prelude.POSITION, question))
            errand.checked = services.ledger.epoch
        in_transaction = exchange.status != tags.IDLE
        if not in_transaction:
            self._transaction.begin(self.profile.state)
        self._account(errand.plans, errand.texts)
        if may_commit(errand.plans, in_transaction=in_transaction) and self._transaction.writes:
            services.announce(errand, self._transaction, self.profile)
        sync = _only_prepares(request) and not in_transaction
        pieces.append(exchange.begin(request, sync=sync))
        errand.sent_at = services.clock()
        errand.attempts += 1
        errand.server = link.server
        services.sent(errand, link)
        link.write(b"".join(pieces))
        if self._is_slow:
            link.pause_reading()
        said = exchange.say_at_once()
        if said:
            self._shell.write(said)
        self._phase = OPEN if request.end is End.OPEN and not sync else RUNNING
        self._shell.resume_reading()
        if request.streams:
            self._pour_into(link)

    def _changes(self, errand: Errand, link: Link) -> bytes | None:
        """Say what makes a connection's session the client's; None: it is, or can't be changed."""
        if link.exchange.status == tags.FAILED:
            return None
        commands: list[bytes] = []
        if link.state is not self.profile.state:
            changes = link.state.changes_to(self.profile.state)
            commands.append(self._services.dialect.apply(changes))
            link.state = self.profile.state
        if any(touches_sequences(plan.statement) for plan in errand.plans):
            if link.sequences_of is not self and any(
                asks_sequences(plan.statement) for plan in errand.plans
            ):
                # What currval() and lastval() know here is somebody else's.
                commands.append(b"DISCARD SEQUENCES")
            link.sequences_of = self
            self._sequences = link
        return b"\n;".join(commands) or None

    def _are_set(self, link: Link) -> None:
        """The settings are made, or have been refused: the client must hear why."""
        errand = self._errand
        if errand is None:
            self._leave()
        elif link.exchange.error is None:
            self._send(errand, link)
            self._pump()
        else:
            self._errand = None
            self._refused_state(errand, link)

    def _account(self, plans: tuple[Plan, ...], texts: tuple[bytes, ...]) -> None:
        """Take down what is about to be written."""
        profile = self.profile
        anything = self._services.planner.any_table(profile.database)
        if profile.fires_others:
            self._transaction.stay_lost = self._transaction.are_names_lost = True
        self._transaction.add(plans, texts, profile.state, anything)

    def _continue(self, request: Request) -> None:
        """Send the next part of a batch; after an error, only its end."""
        link = self._link
        errand = self._errand
        if link is None or errand is None:
            return
        exchange = link.exchange
        if request.undo:
            self.named.clear()
            errand.request.undo += request.undo
        if exchange.error is not None:
            if request.streams:
                self._pour_into(None)
            if request.items[-1].tag != tags.SYNC:
                return  # a Query too is passed over
            request = _end_of_batch()
        readings = [self._read(execution) for execution in request.executions]
        plans = self._plan(readings)
        texts = tuple(text for reading in readings for text in reading.texts)
        errand.plans += plans
        errand.texts += texts
        self._account(plans, texts)
        in_transaction = exchange.status != tags.IDLE
        if may_commit(errand.plans, in_transaction=in_transaction) and self._transaction.writes:
            self._announce_more(errand)
        link.write(exchange.go_on(request))
        said = exchange.say_at_once()
        if said:
            self._shell.write(said)
        if request.end is End.READY:
            errand.request.end = End.READY
            self._phase = RUNNING
        if request.streams:
            self._pour_into(link)

    def _announce_more(self, errand: Errand) -> None:
        """Mark what a batch has grown to write, in one breath: it is never unmarked meanwhile."""
        mark = errand.mark
        if mark is not None:
            if self._transaction.writes <= mark.tables:
                return
            self._services.settle(mark, committed=False, rows={})
        self._services.announce(errand, self._transaction, self.profile)

    # What the server sends

    def server_data(self, link: Link, data: bytes) -> None:
        """Take bytes from a server connection that is ours."""
        exchange = link.exchange
        if link is not self._link or self._phase is FREE:
            self._hear(link, data)
            return
        try:
            passed = exchange.feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        if passed:
            errand = self._errand
            if errand is not None and not errand.started and not self._first_word(errand, link):
                passed = b""
            if passed:
                self._shell.write(passed)
                if errand is not None and errand.fill is not None:
                    self._gather(errand, passed)
        if exchange.done:
            self._done(link)
        elif exchange.wants_sync and self._phase is RUNNING:
            self._phase = OPEN
            self._go_on(link)
        elif exchange.copying_in:
            self._go_on(link)

    def _go_on(self, link: Link) -> None:
        """The server waits for the client; for one that is gone, we say what ends its request."""
        if not self._gone:
            self._pump()
            return
        exchange = link.exchange
        if exchange.copying_in:
            link.write(frontend.copy_fail(b"the client is gone"))
        if self._phase is OPEN:
            # A Sync alone would commit what was run so far.
            spoil = Item(tags.DESCRIBE, _NO_SUCH_PORTAL, None, b"")
            end = _end_of_batch()
            end.items.insert(0, spoil)
            link.write(exchange.go_on(end))
            self._phase = RUNNING

    def _gather(self, errand: Errand, passed: bytes) -> None:
        """Keep a copy for the cache, up to a size; past that, nobody waits for it."""
        fill, results = errand.fill, self._services.results
        if fill is not None and results is not None and not fill.add(passed):
            errand.uncached = Reason.TOO_LARGE
            results.land(errand, NOT_STORED)

    def _hear(self, link: Link, data: bytes) -> None:
        """Take what comes on a connection while nothing is asked on it: perhaps a farewell."""
        exchange = link.exchange
        try:
            exchange.idle_feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        self._take_notices(exchange)
        if self._phase is FREE:
            self._give_notices()

    def _take_notices(self, exchange: Exchange) -> None:
        self._notices += exchange.asynchronous
        exchange.asynchronous = b""

    def _give_notices(self) -> None:
        if self._notices:
            self._shell.write(self._notices)
            self._notices = b""

    def _first_word(self, errand: Errand, link: Link) -> bool:
        """Judge an answer when its first bytes are there; False: it is thrown away.

        A replica may be ahead of its primary, so what it says counts only if no commit on the
        tables was sent meanwhile (facts: "replica ahead", and freshness.md, read path, 4).
        """
        plan = errand.fast
        if plan is None or errand.need is None or plan.read_set is None:
            errand.started = True
            return True
        exchange = link.exchange
        services = self._services
        if exchange.error is not None:
            if backend.read_error(exchange.error).get(backend.SQLSTATE) == b"57014":
                errand.started = True  # stopped because the client asked, or took too long
                return True
            errand.reason = Reason.REPLICA_FAILED
        elif exchange.plain and services.ledger.answer_ok(
            plan.read_set, errand.version, services.clock()
        ):
            errand.started = True
            return True
        else:
            # Something came in front of the answer, so its snapshot may not have been taken yet;
            # or the tables have changed.
            errand.reason = Reason.INVALIDATED
        exchange.discard()
        errand.rejected = True
        return False

    def server_paused(self, link: Link, paused: bool) -> None:
        """A server takes no more for now, or takes more again."""
        if link is self._link:
            if paused:
                self._shell.pause_reading()
            else:
                self._shell.resume_reading()

    def client_paused(self, paused: bool) -> None:
        """The client takes no more for now, or takes more again."""
        self._is_slow = paused
        for held in (self._link, self._home):
            if held is not None and paused:
                held.pause_reading()
            elif held is not None:
                held.resume_reading()
        if not paused:
            if self._phase is FREE:
                self._pump()
            return
        self.answers = None
        errand = self._errand
        if self._link is not None and errand is not None and self._services.results is not None:
            # Nobody shall wait for a slow client's answer.
            self._services.results.land(errand, NOT_STORED)

    # When the server is ready again

    def _done(self, link: Link) -> None:
        exchange = link.exchange
        self._take_notices(exchange)
        if self._phase is ASKING:
            self._asked(link)
            return
        if self._phase is SETTING:
            self._are_set(link)
            return
        errand = self._errand
        assert errand is not None
        if exchange.position_missing or errand.rejected:
            self._read_again(errand, link)
            return
        self._errand = None
        if errand.need is not None and errand.checked is not None:
            link.verified(errand.need, errand.checked)
        self._services.finished(errand, exchange)
        if exchange.state_error:
            self._refused_state(errand, link)
            return
        if exchange.error is not None:
            self._judge(exchange.error)
            self._engine.undo(
                errand.request, exchange.confirmed, unnamed_is_lost=exchange.unnamed_is_lost
            )
            self._skipping = errand.request.end is End.OPEN  # it was ended by us, not the client
        self._settle_mark(errand, link)
        if self._services.results is not None:
            self._services.results.done(errand, exchange, self._services.clock())
        self._draw_consequences(errand, link)
        if exchange.status == tags.IDLE:
            self._engine.forget_portals()
            self._end_transaction(errand, link)
        else:
            self._chain(errand, link)
            self._phase = FREE
            self._after()

    def _judge(self, error: bytes) -> None:
        if backend.read_error(error).get(backend.ROUTINE) == b"RevalidateCachedQuery":
            # A client that prepares its statement again, as it is told to, must get a new one.
            self._engine.forget_texts()

    def _after(self) -> None:
        """A request is over."""
        if self._gone:
            self._leave()
        else:
            self.idle_since = self._services.clock()
            self._pump()

    def _settle_mark(self, errand: Errand, link: Link) -> None:
        """Say to the ledger what became of a commit, before the client can read of it.

        What the client was sent is still in this callback's hands: the transport writes after it.
        """
        mark, errand.mark = errand.mark, None
        exchange = link.exchange
        plans = errand.plans
        self._transaction.count(plans, exchange.tags)
        if mark is not None:
            committed = self._has_committed(plans, exchange)
            self._services.settle(mark, committed=committed, rows=self._transaction.rows)
            self._transaction.rows = {}

    def _has_committed(self, plans: tuple[Plan, ...], exchange: Exchange) -> bool:
        error = exchange.error is not None
        if len(plans) == 1 and plans[0].statement.kind is Kind.COMMIT:
            # The COMMIT of a failed transaction is answered without an error, as ROLLBACK.
            return not error and b"ROLLBACK" not in exchange.tags
        # A procedure may have committed before it failed, and so may a text with several
        # statements; counting one commit too many costs a few cached results.
        return not error or has_control(plans)

    def _draw_consequences(self, errand: Errand, link: Link) -> None:
        exchange = link.exchange
        transaction = self._transaction
        for plan in errand.plans:
            transaction.tainted = transaction.tainted or plan.taints
        if exchange.error is not None:
            # Some of what it did is not undone by its failure.
            survives = any(plan.statement.effects & UNDONE_BY_NOTHING for plan in errand.plans)
            transaction.tainted = transaction.tainted or survives
            return
        if self.profile.state is not transaction.state and any(
            plan.statement.kind is Kind.ROLLBACK_TO for plan in errand.plans
        ):
            transaction.unsure = True
        for plan, text in zip(errand.plans, errand.texts, strict=True):
            apply_effects(self, link, plan.statement, text)
        transaction.follow()

    def _chain(self, errand: Errand, link: Link) -> None:
        """Begin anew if the transaction has ended, and another begun in the same breath."""
        exchange = link.exchange
        transaction = self._transaction
        if exchange.error is not None or not has_ended(errand.plans):
            return
        if len(errand.plans) > 1:
            transaction.unsure = True
            return
        if exchange.tags == [b"ROLLBACK"]:
            self._go_back(link)
        transaction.chain(self.profile.state)

    def _go_back(self, link: Link) -> None:
        """A transaction that is rolled back takes along what was set in it."""
        before = dict(self._transaction.state.settings)
        self.profile.become(self.profile.state.with_settings(before))
        link.state = link.state.with_settings(before)  # what was prepared stays prepared

    def _may_have_lost_settings(self, plans: tuple[Plan, ...], exchange: Exchange) -> bool:
        """Tell if something was rolled back among several statements, of which some set something.

        What belonged to what is not worked out: the server knows what is left of it.
        """
        failed = exchange.error is not None and has_control(plans)
        if not failed and b"ROLLBACK" not in exchange.tags:
            return False
        return self.profile.state is not self._transaction.state or any(
            plan.statement.kind in COMMANDS for plan in plans
        )

    def _end_transaction(self, errand: Errand, link: Link) -> None:
        exchange = link.exchange
        transaction = self._transaction
        if errand.need is not None:
            # From a replica: a pinned client has a connection of its own beside it.
            self._link = None
            self._phase = FREE
            self._give_back(link)
            self._after()
            return
        if len(errand.plans) > 1:
            transaction.unsure |= self._may_have_lost_settings(errand.plans, exchange)
        elif exchange.tags == [b"ROLLBACK"]:
            self._go_back(link)
        if self._sink is link:
            self._drop_torn(link)
            return
        may_unpin = self.pins != self._terms.pins and any(
            may_have_unpinned(plan.statement) for plan in errand.plans
        )
        if self._gone:
            self._leave()
        elif transaction.tainted or transaction.unsure:
            states = (self.profile.state, transaction.state, link.state)
            names = {name for state in states for name, _ in state.settings if "." in name}
            self._ask(link, QUESTION + b";" + settings_question(names))
        elif may_unpin:
            self._ask(link, QUESTION)
        else:
            self._part(link)

    def _drop_torn(self, link: Link) -> None:
        """Let go of a connection that has a large message in part, and nobody wants the rest.

        An error came in front of it. Nothing else can be said there before its last byte.
        """
        self._link = self._sink = None
        link.lend(None)
        link.abort("a message was cut off by an error in front of it")
        if self.pins:
            self._hang_up(f"server {link.server.name} was lost with the session on it")
        self._phase = FREE
        self._after()

    def _ask(self, link: Link, sql: bytes) -> None:
        self._phase = ASKING
        link.write(link.exchange.ask(sql))

    def _asked(self, link: Link) -> None:
        """The server has said what lives in this session, or has cleaned it up."""
        if self._gone:
            self._leave()
            return
        exchange = link.exchange
        if exchange.error is not None or not exchange.rows:
            self.pins.add(PinReason.UNKNOWN)
        else:
            kept = self.pins & {PinReason.UNKNOWN}
            self.pins = kept | set(self._terms.pins) | read_answer(exchange.rows[0])
            if len(exchange.rows) > 1:
                self.profile.adopt(exchange.rows[1:])
                link.state = self.profile.state
        self._part(link)

    def _part(self, link: Link) -> None:
        """Keep the connection for a pinned client, else give it back."""
        self._link = None
        self._phase = FREE
        if self.pins:
            self._home = link
        else:
            self._give_back(link)
        self._after()

    def _give_back(self, link: Link) -> None:
        link.lend(None)
        self._services.release(link)

    def _read_again(self, errand: Errand, link: Link) -> None:
        """A replica's answer did not count: the primary is asked."""
        if link.exchange.position_missing:
            errand.reason = Reason.BEHIND
        self._services.abandoned(link.server)
        self._link = None
        self._give_back(link)
        if self._gone:
            self._errand = None
            self._leave()
        else:
            self._to_primary(errand)

    def _refused_state(self, errand: Errand, link: Link) -> None:
        """The server would not set what the client has set before: the client must hear why."""
        error = link.exchange.error or b""
        self._link = None
        link.lend(None)
        link.abort("session settings were refused")
        if self._gone:
            self._leave()
        elif self.pins:
            self._hang_up("session settings were refused on a connection that had to be kept")
        else:
            self._shell.write(error)
            self._after_error(errand)
            self._pump()

    # Errors of our own

    def _fail(self, errand: Errand, error: ClientVisibleError) -> None:
        """Tell the client that its request can't be served."""
        self._errand = None
        if self._services.results is not None:
            self._services.results.land(errand, FAILED)
        self._shell.write(self._services.dialect.error(error))
        if error.closes_client:
            self._shell.close(error.message)
            return
        self._after_error(errand)

    def _after_error(self, errand: Errand) -> None:
        self._phase = FREE
        self._engine.undo(errand.request, 0)
        self._engine.forget_portals()
        if self._services.results is not None:
            self._services.results.land(errand, FAILED)
        if errand.request.end is End.READY:
            self._shell.write(self._services.dialect.ready(tags.IDLE))
        else:
            self._skipping = True
        if errand.request.streams:
            self._pour_into(None)

    def server_lost(self, link: Link, reason: str) -> None:
        """A server connection that is ours broke."""
        errand = self._errand
        if link is self._sink:
            self._sink = None
        if link is self._home:
            self._home = None
        if link is not self._link:
            self._hang_up(f"server {link.server.name} was lost with the session on it: {reason}")
            return
        self._link = None
        mark = errand.mark if errand is not None else None
        if errand is not None and mark is not None:
            errand.mark = None
            self._services.lose(mark, link)
        if self._gone or self._phase is OVER:
            self._phase = FREE
            self._leave()
            return
        if errand is not None and self._phase is not SETTING:
            self._services.abandoned(link.server)
        if errand is not None and self._may_repeat(errand):
            self._phase = FREE
            errand.reason = Reason.REPLICA_FAILED
            self._to_primary(errand)
            return
        self._errand = None
        self._phase = FREE
        if errand is not None and self._services.results is not None:
            self._services.results.land(errand, FAILED)
        where = f"server {link.server.name} was lost: {reason}"
        if mark is not None:
            where = f"the outcome of the transaction is unknown: {where}"
            self._shell.write(self._services.dialect.error(OutcomeUnknown(where)))
            self._shell.close(where)
            return
        self._hang_up(where)

    def _may_repeat(self, errand: Errand) -> bool:
        """A proven read of which nothing was sent on can be repeated, once."""
        return errand.fast is not None and not errand.started and errand.attempts < 2

    def _hang_up(self, why: str) -> None:
        if self._phase is not OVER:
            self._shell.write(self._services.dialect.error(ServerLost(why)))
            self._shell.close(why)

    # The end

    def cancel(self) -> None:
        """Stop what is running now, because the client asked for it on another connection."""
        errand = self._errand
        if self._phase is WAITING and errand is not None:
            if self._line is not None:
                self._line.leave(self)
                self._line = None
            if self._services.results is not None:
                self._services.results.leave(errand, self)
            self._phase = FREE
            self._fail(errand, Cancelled("canceling statement due to user request"))
            self._pump()
        elif self._link is not None and self._phase in (SETTING, RUNNING, OPEN):
            self._services.cancel(self._link)

    def client_gone(self) -> None:
        """The client hung up: what it left behind is cleaned up."""
        if self._gone:
            return
        self._gone = True
        self.answers = None
        self._queue.clear()
        self._is_slow = False
        link = self._link
        errand = self._errand
        for held in (link, self._home):
            if held is not None:
                held.resume_reading()  # it may have been as slow as the client
        if errand is not None and self._services.results is not None:
            self._services.results.leave(errand, self)
            self._services.results.land(errand, FAILED)
        if self._phase is WAITING:
            if self._line is not None:
                self._line.leave(self)
                self._line = None
            self._errand = None
            self._leave()
        elif self._phase in (RUNNING, OPEN) and link is not None:
            if self._sink is link:
                link.abort("the client went away in the middle of a message")
                return
            self._services.cancel(link)
            self._go_on(link)
        elif self._phase is SETTING:
            self._errand = None
        elif self._phase is FREE:
            self._leave()

    def _leave(self) -> None:
        """Bring every connection we have back to where another client can have it."""
        self._phase = ASKING
        if self._link is None:
            self._link, self._home = self._home, None
        link = self._link
        if link is None:
            self._phase = OVER
            self._services.gone(self)
            return
        exchange = link.exchange
        if self._sink is link or (exchange.error is not None and self._farewell):
            link.lend(None)
            link.abort("could not be cleaned up")
            self._link = None
            self._leave()
        elif exchange.status != tags.IDLE:
            self._farewell = True
            link.state = link.state.with_settings(dict(self._transaction.state.settings))
            link.write(exchange.ask(b"ROLLBACK"))
        elif self.pins or self._transaction.tainted or self._transaction.unsure:
            self._farewell = True
            self.pins = set()
            self._transaction.begin(UNTOUCHED)
            link.state = UNTOUCHED
            exchange.forget_statements()
            link.write(exchange.ask(b"DISCARD ALL"))
        else:
            self._link = None
            self._give_back(link)
            self._leave()

    def tick(self, now: float) -> ClientVisibleError | None:
        """Say why the client must go, if it has been idle for too long; about once a second."""
        services = self._services
        idle = now - self.idle_since
        if self._phase is WAITING:
            self._wait_no_longer(now)
        if self._phase is not FREE:
            return None
        if self._link is not None:
            limit = services.idle_transaction_timeout
            if limit and idle >= limit:
                return IdleTransactionTimeout(
                    "terminating connection due to idle-in-transaction timeout"
                )
        elif services.client_idle_timeout and idle >= services.client_idle_timeout:
            return IdleTimeout("terminating connection due to idle-session timeout")
        return None

    # For what a statement leaves behind

    def doubt(self) -> None:
        """Something was set, and it is not known what: the server is asked when it is over."""
        self._transaction.unsure = True

    def forget_statements(self, link: Link) -> None:
        """Every prepared statement is gone, for the client and on the connection."""
        self._engine.forget_statements()
        link.exchange.forget_statements()

    def _wait_no_longer(self, now: float) -> None:
        """Go alone when another session takes too long to fetch what this one waits for."""
        errand = self._errand
        if errand is None or errand.flight is None or now - self.idle_since < FLIGHT_WAIT:
            return
        if self._services.results is not None:
            self._services.results.leave(errand, self)
        self.flight_landed(NOT_STORED)


_PASSED_OVER: Final = frozenset((tags.SYNC, tags.FLUSH))


_NO_SUCH_PORTAL: Final = frontend.describe(tags.PORTAL, b"the client is gone")


def _end_of_batch() -> Request:
    return Request(End.READY, [Item(tags.SYNC, frontend.SYNC, None, b"")])


def _only_prepares(request: Request) -> bool:
    """Tell if an open batch runs nothing so far, so that it may be ended here unnoticed."""
    return (
        request.end is End.OPEN
        and not request.streams
        and all(item.tag in _PREPARES for item in request.items)
    )


_PREPARES: Final = frozenset((tags.PARSE, tags.DESCRIBE, tags.CLOSE, tags.FLUSH))


def _is_only(request: Request, tag: int) -> bool:
    items = request.items
    return len(items) == 1 and items[0].tag == tag
