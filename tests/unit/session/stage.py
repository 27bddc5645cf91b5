"""A stage for one session, or several: what is done to them goes in, what they do comes out.

A test reads as a conversation. `stage >> event` lets something happen; everything that follows from
it must be named by `<<`, in its order, before the next thing happens:

    stage >> client(query("SELECT 1")) << asks("replica", query("SELECT 1"))
    stage >> answers("replica", ROWS) << told(ROWS) << released("replica")

Ledger, planner, router, cache and the protocol's engines are real; shells, links, pools, catalog
and commits are simple stand-ins that write down what they are told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from proxy.cache.store import Store
from proxy.errors import ClientVisibleError, Fault
from proxy.freshness.contracts import STRONG, Contract
from proxy.freshness.handed import Handed
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.sampling import Sampler
from proxy.freshness.tally import Tally
from proxy.routing.balancer import Balancer
from proxy.routing.plan import Planner
from proxy.routing.reading import Reader
from proxy.routing.router import Router
from proxy.routing.rules import Match, RuleBook
from proxy.routing.terms import Policy
from proxy.session.copies import Copy
from proxy.session.errand import Errand
from proxy.session.grammar import Defaults
from proxy.session.late import Held
from proxy.session.ports import Asker, Holder, Terms, Throttled, Waiter
from proxy.session.profile import Profile
from proxy.session.results import Results
from proxy.session.sample import Sample
from proxy.session.session import Session
from proxy.session.state import SessionState
from proxy.session.transaction import Transaction
from proxy.settings.rule import Rule
from proxy.sql.access import Access
from proxy.sql.statement import Kind, Statement
from proxy.topology.group import Group, Server, Sighting
from proxy.types import Ending, PinReason, Position, Reason, Role, Table, Token
from proxy.wire.exchange import Exchange
from proxy.wire.postgres import backend, frontend
from proxy.wire.requests import Execution, Request
from tests.unit.session.words import POSTGRES, SHAPE, Words

DEFAULTS = POSTGRES.defaults
GRAMMAR = POSTGRES.grammar

# What is said. Each is bytes; a test puts them together with `+`.

SYNC = frontend.SYNC
FLUSH = frontend.FLUSH
IDLE = backend.READY_IDLE
IN_TRANSACTION = backend.READY_TRANSACTION
FAILED = backend.READY_FAILED
PARSED = backend.PARSE_COMPLETE
BOUND = backend.BIND_COMPLETE
CLOSED = backend.CLOSE_COMPLETE
NO_DATA = backend.NO_DATA


def query(sql: str) -> bytes:
    return frontend.query(sql.encode())


def parse(name: str, sql: str) -> bytes:
    return frontend.parse(name.encode(), sql.encode())


def bind(name: str, *values: str, portal: str = "") -> bytes:
    return frontend.bind(portal.encode(), name.encode(), [value.encode() for value in values])


def execute(portal: str = "", rows: int = 0) -> bytes:
    return frontend.execute(portal.encode(), rows)


def describe(portal: str = "") -> bytes:
    return frontend.describe(ord("P"), portal.encode())


def describe_statement(name: str) -> bytes:
    return frontend.describe(ord("S"), name.encode())


def close(name: str) -> bytes:
    return frontend.close(ord("S"), name.encode())


def close_portal(portal: str = "") -> bytes:
    return frontend.close(ord("P"), portal.encode())


def complete(tag: str) -> bytes:
    return backend.command_complete(tag.encode())


def error(sqlstate: str = "XX000", text: str = "no", severity: str = "ERROR") -> bytes:
    return backend.error_response(severity.encode(), sqlstate.encode(), text.encode())


def notice(text: str = "mind") -> bytes:
    return backend.notice_response(b"NOTICE", b"00000", text.encode())


def parameter(name: str, value: str) -> bytes:
    return backend.parameter_status(name.encode(), value.encode())


COLUMNS = backend.row_description([backend.Column(b"a")])


def rows(*values: str) -> bytes:
    """Rows and their command tag, without columns."""
    return b"".join(backend.data_row([value.encode()]) for value in values) + complete(
        f"SELECT {len(values)}"
    )


def result(*values: str) -> bytes:
    """The whole answer to a simple query outside of a transaction."""
    return COLUMNS + rows(*values) + IDLE


def says_what_is_set(**settings: str) -> bytes:
    """The server's answer to both questions."""
    two = [backend.Column(b"a"), backend.Column(b"b")]
    pins = backend.row_description([backend.Column(b"a")] * 5) + backend.data_row(
        [*[b"f"] * 4, None]
    )
    shown = b"".join(
        backend.data_row([name.encode(), value.encode()])
        for name, value in {"role": "none", "session_authorization": "ann", **settings}.items()
    )
    return (
        pins
        + complete("SELECT 1")
        + backend.row_description(two)
        + shown
        + complete(f"SELECT {2 + len(settings)}")
        + IDLE
    )


class Catalog:
    """Tables by name and schema; functions: most may do anything, `sets` whatever to settings.

    The procedure `commits` may do that as well.
    """

    def __init__(self, database: str) -> None:
        self.database = database
        self._oids: dict[tuple[str, str], int] = {}

    def table(self, name: str, schema: str = "public") -> Table:
        oid = self._oids.setdefault((schema, name), 16384 + len(self._oids))
        return Table(self.database, oid)

    def name_of(self, oid: int) -> str:
        names = {number: f"{schema}.{name}" for (schema, name), number in self._oids.items()}
        return names.get(oid, str(oid))

    def resolve(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Access:
        path = [schema for schema in search_path if schema != "$user"] or ["nowhere"]
        access = Access(
            read_set=frozenset(self.table(n.name, n.schema or path[0]) for n in statement.reads),
            write_set=frozenset(self.table(n.name, n.schema or path[0]) for n in statement.writes),
        )
        if statement.kind is not Kind.READ:
            access.replica = statement.reason or Reason.UTILITY
        for call in statement.functions:
            access.clock = access.clock or call.name == "now"
            if call.name in ("count", "now"):
                continue
            access.replica = access.cache = Reason.FUNCTION
            if call.name.startswith("pg_"):
                continue
            access.taints = True
            access.commits = access.commits or call.name == "commits"
            access.exact = access.exact and call.name in ("set_config", "sets")
        return access

    def knows(self, oid: int) -> bool:
        return oid < 16384 + len(self._oids)

    def roots(self, oid: int) -> frozenset[Table]:
        return frozenset((Table(self.database, oid),))


class Place:
    """A position of the primary's, for every member: its number."""

    def __init__(self, stage: Stage, position: int) -> None:
        self.stage = stage
        self.position = Position(position)

    def find(self) -> Position | None:
        primary = self.stage.group.primary
        is_there = primary is not None and primary.position >= self.position
        return self.position if is_there else None


class Askers:
    """Who waits to be told where the primary is."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.waiting: list[Asker] = []

    def leave(self, waiter: Waiter) -> None:
        self.stage.did("left", "a position")
        self.waiting = [asker for asker in self.waiting if asker is not waiter]


class Link:
    """A server connection."""

    def __init__(self, stage: Stage, server: Server, *, room: int = 100) -> None:
        self.stage = stage
        self.server = server
        self.name = server.host
        self.exchange: Any = stage.words.exchange(room)
        self.state: SessionState = stage.words.fresh
        self.shape = SHAPE
        self.sequences_of: object = None
        self.stained_by: object = None
        self.user: Any = None
        self.knows_position = True
        self.verified_at: list[Position] = []
        self.is_reading = True
        self.is_lost = False

    def __repr__(self) -> str:
        return f"<Link {self.name}>"

    def lend(self, user: Any) -> None:
        self.user = user
        if user is None:
            self.is_reading = True

    def believes(self, need: Position, epoch: int) -> bool:
        return self.knows_position

    def verified(self, position: Position, epoch: int) -> None:
        self.verified_at.append(position)

    def write(self, data: bytes) -> None:
        assert not self.is_lost
        self.stage.did("asks", self.name, data)

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def abort(self, reason: str) -> None:
        self.stage.did("aborted", self.name)
        self.break_off(reason)

    def break_off(self, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.stage.links.discard(self)
        user, self.user = self.user, None
        if user is not None:
            user.server_lost(self, reason)


class Pool:
    """Lends links of one server, `size` of them."""

    def __init__(self, stage: Stage, server: Server, size: int) -> None:
        self.stage = stage
        self.server = server
        self.size = size
        self.idle: list[Link] = []
        self.waiting: list[Waiter] = []
        self.offered: dict[Link, Holder] = {}

    def try_acquire(self, flavour: SessionState, preferred: object = None) -> Link | None:
        if self.idle:
            return self.idle.pop()
        if len([link for link in self.stage.links if link.server is self.server]) < self.size:
            return self.open()
        return None

    def open(self) -> Link:
        link = Link(self.stage, self.server, room=self.stage.room)
        self.stage.links.add(link)
        return link

    def wait(self, waiter: Waiter) -> None:
        self.stage.did("waits", self.server.host)
        self.waiting.append(waiter)
        self.reclaim()

    def leave(self, waiter: Waiter) -> None:
        self.stage.did("left", self.server.host)
        self.waiting.remove(waiter)

    def release(self, link: Link) -> None:
        assert link.user is None, "given back while it is lent"
        assert link.exchange.done, "given back while it is busy"
        assert link.is_reading, "given back while it is not read"
        self.stage.did("released", link.name)
        self.offered.pop(link, None)
        if self.waiting:
            self.waiting.pop(0).acquired(link)
        else:
            self.idle.append(link)

    def offer(self, link: Link, holder: Holder) -> None:
        self.offered[link] = holder
        self.reclaim()

    def reclaim(self) -> None:
        """Ask everybody, without grace; those who have taken up what they offered must refuse."""
        if self.waiting:
            for link, holder in list(self.offered.items()):
                holder.asked_for(link)


class Shell:
    """The client's end."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.is_reading = True
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.stage.did("told", self.name, data)

    def close(self, reason: str, cause: Ending | Fault) -> None:
        self.is_closed = True
        self.stage.did("closed", self.name)

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def begin_anew(self, request: Request, link: Link | None) -> None:
        self.stage.did("begins anew", self.name, *([] if link is None else [link.name]))


class Stage:
    """See the module. It is also the services that its sessions ask for things."""

    def __init__(
        self,
        *,
        cache: bool = False,
        replicas: int = 1,
        pins: Iterable[PinReason] = (),
        one_statement: bool = False,
        late_begin: bool = False,
        levels: Iterable[str] = ("read committed",),
        size: int = 100,
        room: int = 100,
        rules: Iterable[Rule] = (),
        contract: Contract = STRONG,
        audit: float = 0.0,
        words: Words = POSTGRES,
        defaults: Defaults | None = None,
    ) -> None:
        self.words = words
        self.defaults = defaults or words.defaults
        self.audit = self
        self.sampler = Sampler(audit, 1000)
        self.samples: list[Sample] = []
        self.skipped = 0  # samples that could not be repeated
        self.policy = Policy(contract, RuleBook(rules))
        self.misread_words: list[str] = []
        self.mirrored: list[tuple[str | None, bytes]] = []
        self.samplings: list[float] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.events: deque[tuple[Any, ...]] = deque()
        self.now = 1000.0
        self.room = room
        self.links: set[Link] = set()
        tokens: Iterator[int] = count(1)
        self.tokens = lambda: Token(next(tokens))
        self.ledger = Ledger(self.tokens())
        self.planner = Planner(self.ledger)
        self.reader = Reader(language=words.language)
        self.library = words.library(
            lambda: self.planner.generation, lambda sql: self.reader.read(sql).clock
        )
        self.catalog = Catalog("shop")
        self.planner.know("shop", self.catalog)  # type: ignore[arg-type]
        names = ["primary", "replica", *(f"replica{n}" for n in range(2, replicas + 1))]
        self.servers = {name: Server(name, 1) for name in names[: replicas + 1]}
        self.group = Group("g", list(self.servers.values()))
        self.balancer: Balancer[Server] = Balancer(ban_time=5.0)
        self.router = Router(
            self.group,
            self.ledger,
            self.balancer,
            self,
            lambda: 0.5,
            share=False,
            waits=lambda: False,
        )
        for name, server in self.servers.items():
            self.see(server, Role.PRIMARY if name == "primary" else Role.REPLICA)
        self.results: Results | None = None
        if cache:
            self.results = Results(Store(1 << 20, 1 << 16), self.ledger, single_flight=True)
        self.dialect = words.dialect
        self.grammar = words.grammar
        self.traces = words.traces()
        self.terms = Terms(frozenset(pins), one_statement)
        self.max_queued = 1 << 20
        self.late_begin = late_begin
        self.is_strict = False
        self.may_confirm = True
        self.levels = frozenset(levels)
        self.idle_transaction_timeout = 10.0
        self.client_idle_timeout = 100.0
        self.pools = {server: Pool(self, server, size) for server in self.servers.values()}
        self.in_line: list[Waiter] = []
        self.askers = Askers(self)
        self.gone_sessions: list[Session] = []
        self.sessions: dict[str, Session] = {}
        self.marks: list[Mark] = []
        self.tallies = 0
        self.rows: list[Mapping[Table, int]] = []
        self.reasons: list[Reason] = []
        self.held: list[Held] = []  # what has become of transactions that were held back
        self.session, self.shell = self.enter("client")

    def see(self, server: Server, role: Role, position: int = 100, timeline: int = 1) -> None:
        """A witness has seen a server; a new primary begins an epoch."""
        if server.incarnation == 0:
            self.group.met(server)
        turn = self.group.saw(
            server, Sighting(role, 7, timeline, Position(position), self.now, self.now)
        )
        if turn.value == "new_epoch":
            self.ledger.new_epoch(self.tokens(), Position(position))
            self.router.samples.restart()
        elif role is Role.PRIMARY:
            self.router.samples.add(self.now, Position(position))
        if role is Role.REPLICA:
            mark = self.router.watermark(server)
            mark.arrived(mark.ask(self.ledger.epoch, self.now), Position(position))

    def enter(self, name: str, settings: Mapping[str, str] | None = None) -> tuple[Session, Shell]:
        """Another client comes."""
        shell = Shell(self, name)
        profile = Profile(
            self.planner,
            self.results,
            self.grammar,
            group="g",
            user="ann",
            database="shop",
            startup=SessionState.of({**dict(self.words.fresh.settings), **(settings or {})}, {}),
            defaults=self.defaults,
            levels=self.levels,
            policy=self.policy,
        )
        engine = self.words.client(self.library)
        session = Session(self, shell, engine, profile, self.terms, self.traces)
        self.sessions[name] = session
        return session, shell

    # The conversation.

    def did(self, *event: Any) -> None:
        self.events.append(event)

    def __rshift__(self, event: Callable[[Stage], None]) -> Stage:
        assert not self.events, f"not expected: {show(self.events)}"
        event(self)
        return self

    def __lshift__(self, expected: tuple[Any, ...]) -> Stage:
        assert self.events, f"nothing happened; expected {show([expected])}"
        happened = self.events.popleft()
        assert happened == expected, (
            f"\nhappened: {show([happened])}\nexpected: {show([expected])}"
            f"\nthen: {show(self.events)}"
        )
        return self

    def quiet(self) -> None:
        """Nothing else has happened."""
        assert not self.events, f"not expected: {show(self.events)}"

    def finish(self) -> None:
        """Every client goes; nothing may be left behind."""
        self.quiet()
        assert not self.ledger.unsettled(), "a mark was left"
        for load in (self.balancer.load(server) for server in self.servers.values()):
            assert load.outstanding == 0, "a statement was never counted as finished"

    def link(self, name: str) -> Link:
        """Find the one link of a server that is in use."""
        found = [link for link in self.links if link.name == name and link.user is not None]
        assert len(found) == 1, found
        return found[0]

    # Services.

    def clock(self) -> float:
        return self.now

    def pool(self, server: Server, profile: Profile) -> Pool:
        return self.pools[server]

    def wait_for_primary(self, waiter: Waiter) -> Stage:
        self.did("waits", "a primary")
        self.in_line.append(waiter)
        return self

    def leave(self, waiter: Waiter) -> None:
        self.did("left", "a primary")
        self.in_line.remove(waiter)

    def hand(self, text: str) -> Handed:
        return Handed(Place(self, int(text)), self.now)

    def tell_position(self, asker: Asker) -> Askers:
        self.did("waits", "a position")
        self.askers.waiting.append(asker)
        return self.askers

    def tally(self, profile: Profile) -> Tally | None:
        self.tallies += 1
        return None

    def announce(self, errand: Errand, transaction: Transaction, profile: Profile) -> Mark:
        tables = transaction.writes
        if transaction.generation != self.planner.generation:
            tables |= self.planner.any_table(profile.database)
        errand.mark = self.ledger.mark(tables, self.tokens())
        self.marks.append(errand.mark)
        self.did("marked", frozenset(table.oid for table in tables))
        return errand.mark

    def settle(
        self,
        mark: Mark,
        *,
        committed: bool,
        rows: Mapping[Table, int],
        position: Position | None = None,
        gtid: str = "",
    ) -> None:
        if committed:
            self.ledger.commit(mark, position=position)
            self.rows.append(dict(rows))
        else:
            self.ledger.rollback(mark)
        self.did("settled", committed)

    def keep(self, mark: Mark) -> None:
        self.did("kept")

    def lose(self, mark: Mark, link: Link) -> None:
        self.ledger.lose(mark)
        self.did("lost")

    def sent(self, link: Link) -> None:
        self.balancer.started(link.server)

    def abandoned(self, server: Server) -> None:
        self.balancer.abandoned(server)

    def finished(self, errand: Errand, exchange: Exchange) -> None:
        self.reasons.append(errand.reason)
        if errand.server is not None:
            seconds = (errand.answered_at or self.now) - errand.sent_at
            self.balancer.finished(errand.server, max(0.001, seconds), self.now)

    def hit(self, errand: Errand) -> None:
        self.reasons.append(Reason.HIT)

    def held_back(self, outcome: Held) -> None:
        self.held.append(outcome)

    def throttle(
        self, rule: Match, waiter: Throttled, is_running: Callable[[], bool]
    ) -> Stage | None:
        if rule.throttle is None or rule.throttle.enter(self.now, is_running):
            return None
        self.did("waits", "a rule")
        self.in_line.append(waiter)
        return self

    def confirm(self, waiter: Throttled, profile: Profile) -> Stage | None:
        if not self.may_confirm:
            return None
        self.did("waits", "the log")
        self.in_line.append(waiter)
        return self

    def mirror(self, copies: Sequence[Copy], database: str, owner: object) -> None:
        self.mirrored += [(copy.rule.mirror, copy.data) for copy in copies]

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)

    def skip(self) -> None:
        self.skipped += 1

    def misread(self, word: str) -> None:
        self.misread_words.append(word)

    def limit(self, errand: Errand, seconds: float, stop: Callable[[], None]) -> None:
        self.timers.append((seconds, stop))

    def cancel(self, link: Link) -> None:
        self.did("cancelled", link.name)

    def release(self, link: Link) -> None:
        self.pools[link.server].release(link)

    def offer(self, link: Link, holder: Holder) -> None:
        self.pools[link.server].offer(link, holder)

    def gone(self, session: Session) -> None:
        self.did("gone")
        self.gone_sessions.append(session)

    def explain(
        self, profile: Profile, asked: Execution, blocked: Reason | None
    ) -> tuple[list[str], list[list[str]]]:
        return ["fact"], [["value"]]

    # Wishes of the router.

    def want_position(self) -> None:
        return

    def want_replay(self, server: Server, need: Position) -> None:
        return

    def want_sample(self, interval: float) -> None:
        self.samplings.append(interval)


Event = Callable[[Stage], None]

# What happens.


def client(*messages: bytes, session: Session | None = None) -> Event:
    """The client sends bytes, all at once."""
    data = b"".join(messages)

    def happen(stage: Stage) -> None:
        who = session or stage.session
        answers = who.answers
        is_query = answers is not None and stage.words.is_query(data)
        if is_query and (answer := answers.get(data)) is not None:
            entry = answer.entry
            if stage.ledger.fast_ok(entry.read_set, entry.version, stage.now):
                stage.did("at once", who.beside(answer.pieces[0]))
                return
        who.receive(data)

    return happen


def answers(name: str, *messages: bytes) -> Event:
    """The server that is asked says something, all at once."""
    return lambda stage: _say(stage.link(name), b"".join(messages))


def _say(link: Link, data: bytes) -> None:
    link.user.server_data(link, data)


def breaks(name: str) -> Event:
    return lambda stage: stage.link(name).break_off("gone")


def hangs_up(session: Session | None = None) -> Event:
    return lambda stage: (session or stage.session).client_gone()


def cancels(session: Session | None = None) -> Event:
    return lambda stage: (session or stage.session).cancel()


def lends(name: str) -> Event:
    """A link comes free, and the first in line gets it."""

    def happen(stage: Stage) -> None:
        pool = stage.pools[stage.servers[name]]
        pool.waiting.pop(0).acquired(pool.open())

    return happen


def refuses(name: str, error: ClientVisibleError) -> Event:
    """The first in line is told that there is nothing to be had."""
    return lambda stage: stage.pools[stage.servers[name]].waiting.pop(0).not_acquired(error)


def tells_position(text: str) -> Event:
    """The primary has been asked where it is, for the first who wants to know."""
    return lambda stage: stage.askers.waiting.pop(0).position_told(text)


def elsewhere(happen: Callable[[Stage], Any]) -> Event:
    """Something happens outside of the session."""

    def run(stage: Stage) -> None:
        happen(stage)

    return run


def writes(stage: Stage, name: str) -> None:
    """Somebody else commits a change of a table."""
    stage.ledger.commit(stage.ledger.mark([stage.catalog.table(name)], stage.tokens()))


# What comes of it.


def told(*messages: bytes, name: str = "client") -> tuple[Any, ...]:
    return ("told", name, b"".join(messages))


def asks(name: str, *messages: bytes) -> tuple[Any, ...]:
    return ("asks", name, b"".join(messages))


def marked(*tables: Table) -> tuple[Any, ...]:
    return ("marked", frozenset(table.oid for table in tables))


def settled(committed: bool) -> tuple[Any, ...]:
    return ("settled", committed)


def released(name: str) -> tuple[Any, ...]:
    return ("released", name)


def waits(name: str) -> tuple[Any, ...]:
    return ("waits", name)


def left(name: str) -> tuple[Any, ...]:
    return ("left", name)


def aborted(name: str) -> tuple[Any, ...]:
    return ("aborted", name)


def cancelled(name: str) -> tuple[Any, ...]:
    return ("cancelled", name)


def at_once(*messages: bytes) -> tuple[Any, ...]:
    return ("at once", b"".join(messages))


CLOSES = ("closed", "client")
ANEW = ("begins anew", "client")
LOST = ("lost",)
GONE = ("gone",)


def show(events: Iterable[tuple[Any, ...]]) -> str:
    """Say events for people."""
    return "; ".join(" ".join(map(_show, event)) for event in events) or "nothing"


def _show(part: Any) -> str:
    if not isinstance(part, bytes):
        return str(part)
    shown = []
    while part:
        size = 1 + int.from_bytes(part[1:5], "big")
        body = part[5:size].replace(b"\0", b" ").decode("latin-1")
        shown.append(f"{chr(part[0])}[{body.strip()}]")
        part = part[size:]
    return " ".join(shown)
