"""Replaying what a log tells: where each statement would be served, and what the cache would do.

The statements are read and planned as the proxy does it, with the same code, and the ledger that
moves tables' versions is the proxy's own. What is modelled is in `visits` and here: sessions, and a
cache without size, whose results are there at once. What a log can't tell is left out (`LEFT_OUT`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol, final

from proxy.doctor.events import Began, Ended, Event, Failed, Ran, Timed
from proxy.doctor.findings import TABLES, Count, Findings, Traffic, shorten
from proxy.doctor.visits import Standing, Terms, Visit, are_unseen
from proxy.freshness.ledger import Ledger
from proxy.routing.plan import Plan, Planner, Scope
from proxy.routing.reading import Reader, Reading
from proxy.sql.digest import shown
from proxy.sql.language import Language, PostgresLanguage
from proxy.sql.lineage import Lineage
from proxy.sql.routines import FIRST_USER_OID
from proxy.sql.statement import Kind
from proxy.types import Reason, Table, Token

LEFT_OUT: Final = (
    "whether replicas have replayed what a read must see: right behind a write they have not",
    "the size of the cache and of results, and how much a statement's results are worth keeping",
    "what several clients do at the same instant: statements count in the log's order",
    "what triggers and functions write unforeseen: the proxy asks the server for it",
    "rules and hints of the configuration, and contracts weaker than strong",
    "settings made by functions, and those a client sent when it connected",
)

VISITS: Final = 20_000
"""Sessions that are followed at a time; those that were silent for longest are forgotten, and are
taken to be outside of a transaction when they speak again."""

RESULTS: Final = 200_000
"""Results that the cache of the model holds: it has no bytes, and must still be bounded."""

TEXTS: Final = 2_000
LONGEST_TEXT: Final = 8_192
"""Texts whose reading is kept, and how long they may be: drivers send the same ones again."""

STATEMENTS: Final = 3_000
"""Fingerprints and plans that are kept; each text may be long."""

PARAMETER: Final = "$1"

_READS: Final = frozenset((Kind.READ, Kind.LOCKING, Kind.COPY_OUT))
_TRANSACTIONS: Final = frozenset((Kind.COMMIT, Kind.ROLLBACK))


@final
class _Known:
    """What is remembered of a plan, beside it."""

    __slots__ = ("read", "shown", "why_unseen", "written")

    def __init__(self, shown: str, read: list[Traffic], written: list[Traffic]) -> None:
        self.shown = shown
        self.read = read
        self.written = written
        self.why_unseen: str | None = None


@final
class _Counted:
    """Where the time of a statement goes."""

    __slots__ = ("counts",)

    def __init__(self, *counts: Count) -> None:
        self.counts = counts


class Definitions(Protocol):
    """Who has the definitions of databases."""

    def find(self, database: str | None) -> Lineage | None:
        """Find those of a database; of the only one there is, where none is named."""


@final
class Model:
    """See the module.

    Args:
        definitions: Of the databases.
        user: Who runs what the log does not say it of.
        search_path: What names are looked up in, where a session has not said otherwise.
        terms: Of transactions.
        language: What statements are written in.
        has_schemas: Whether what clients call a database is a schema, and the search path.
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        user: str,
        search_path: tuple[str, ...],
        terms: Terms,
        language: Language | None = None,
        has_schemas: bool = False,
    ) -> None:
        self.findings = Findings()
        self._definitions = definitions
        self._user = user
        self._search_path = search_path
        self._terms = terms
        self._ledger = Ledger(Token(1))
        self._planner = Planner(self._ledger, STATEMENTS)
        self._reader = Reader(STATEMENTS, language or PostgresLanguage())
        self._has_schemas = has_schemas
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._texts: dict[str, Reading] = {}
        self._cached: OrderedDict[int, int] = OrderedDict()
        self._databases: dict[str | None, str | None] = {}
        self._known: dict[Plan, _Known] = {}
        self._tokens = 1

    def take(self, event: Event) -> None:
        """Take in what the log tells next."""
        if isinstance(event, Ran):
            self._ran(event, self._visit(event.session))
        elif isinstance(event, Timed):
            self._timed(event, self._visit(event.session))
        elif isinstance(event, Failed):
            self._failed(event, self._visit(event.session))
        elif isinstance(event, Began):
            self._visits.pop(event.session, None)
            visit = self._visit(event.session)
            visit.user, visit.database = event.user, event.database
        elif isinstance(event, Ended):
            self._visits.pop(event.session, None)

    def take_total(
        self,
        text: str,
        user: str,
        database: str,
        *,
        calls: int,
        seconds: float,
        is_logged: bool = False,
    ) -> None:
        """Take in what a statement amounts to, of which no more is known: no order, no values.

        Args:
            text: Of it.
            user: Who runs it.
            database: Where.
            calls: How often.
            seconds: What that took, together.
            is_logged: Whether it was logged: then fast ones may be missing.
        """
        self.findings.is_ordered = False
        catalog = self._catalog_of(database)
        if catalog is None:
            return self._is_elsewhere(database, calls)
        reading = self._reader.read(text.encode("utf-8", "surrogateescape"))
        path = self._path_in(database)
        scope = self._planner.scope(catalog, user or self._user, path)
        visit = Visit()
        if is_logged:
            self._note(seconds / calls)
        for statement in reading.statements:
            plan = self._planner.plan(scope, statement)
            reason = visit.judge(plan, self._terms, clock=reading.clock, is_several=False)
            counted = self._count(scope, plan, reason, calls)
            for count in counted.counts:
                count.time(seconds, calls)
        return None

    def _visit(self, session: str) -> Visit:
        if not session:
            return Visit()  # what can't be followed is taken by itself
        visit = self._visits.get(session)
        if visit is None:
            visit = self._visits[session] = Visit()
            self.findings.sessions += 1
            if len(self._visits) > VISITS:
                self._visits.popitem(last=False)
        else:
            self._visits.move_to_end(session)
        return visit

    def _catalog_of(self, database: str | None) -> str | None:
        """Find out by which name a database is known to the planner; None: by none."""
        if database in self._databases:
            return self._databases[database]
        catalog = self._definitions.find(database)
        if catalog is not None:
            self._planner.know(catalog.database, catalog)
        found = self._databases[database] = None if catalog is None else catalog.database
        return found

    def _path_in(self, database: str | None) -> tuple[str, ...]:
        return (database,) if self._has_schemas and database else self._search_path

    def _is_elsewhere(self, database: str | None, calls: int) -> None:
        name = database or "(the log names none)"
        elsewhere = self.findings.elsewhere
        elsewhere[name] = elsewhere.get(name, 0) + calls

    def _ran(self, event: Ran, visit: Visit) -> None:
        name = event.database or visit.database
        database = self._catalog_of(name)
        if database is None:
            return self._is_elsewhere(name, 1)
        if not event.session:
            self.findings.loose += 1
        user = event.user or visit.user or self._user
        reading = self._read(event.text)
        path = self._path_in(name) if visit.search_path is None else visit.search_path
        scope = self._planner.scope(database, user, path)
        statements = reading.statements
        is_several = len(statements) > 1
        counted = _Counted()
        for statement, text in zip(statements, reading.texts, strict=True):
            plan = self._planner.plan(scope, statement)
            reason = visit.judge(plan, self._terms, clock=reading.clock, is_several=is_several)
            counted = self._count(scope, plan, reason, 1)
            if reason is Reason.REPLICA and self._is_hit(event, visit, scope, plan, reading):
                self.findings.hits.add()
                counted = _Counted(*counted.counts, self.findings.hits)
            self._run(visit, plan, text, reason)
        seconds, ahead = event.seconds, visit.ahead
        visit.ahead = 0.0
        if seconds is None:
            visit.last = counted
            for count in counted.counts:
                count.seconds += ahead
        else:
            visit.last = None
            self._time(counted, seconds + ahead)
        return None

    def _run(self, visit: Visit, plan: Plan, text: bytes, reason: Reason) -> None:
        standing = visit.standing
        committed = visit.run(plan, text, reason, self._terms)
        if plan.statement.kind in _TRANSACTIONS and visit.standing is Standing.NONE is not standing:
            self.findings.transactions += 1
            self.findings.spared += standing is Standing.HELD
        if committed:
            self._tokens += 1
            self._ledger.foreign_commit(committed, Token(self._tokens))

    def _failed(self, event: Failed, visit: Visit) -> None:
        visit.fail()
        if self._catalog_of(event.database or visit.database) is not None:
            self.findings.failed += 1

    def _timed(self, event: Timed, visit: Visit) -> None:
        last = visit.last
        if event.is_ahead or not isinstance(last, _Counted):
            visit.ahead += event.seconds
            return
        visit.last = None
        self._time(last, event.seconds)

    def _time(self, counted: _Counted, seconds: float) -> None:
        self._note(seconds)
        for count in counted.counts:
            count.time(seconds)

    def _note(self, seconds: float) -> None:
        shortest = self.findings.shortest
        if shortest is None or seconds < shortest:
            self.findings.shortest = seconds

    def _read(self, text: str) -> Reading:
        reading = self._texts.get(text)
        if reading is None:
            reading = self._reader.read(text.encode("utf-8", "surrogateescape"))
            if len(text) <= LONGEST_TEXT:
                if len(self._texts) >= TEXTS:
                    self._texts.clear()
                self._texts[text] = reading
        return reading

    def _count(self, scope: Scope, plan: Plan, reason: Reason, calls: int) -> _Counted:
        """Count a statement, and return what its time is to be added to."""
        findings = self.findings
        kind = plan.statement.kind
        count = findings.kind(kind)
        count.add(calls)
        known = self._known.get(plan)
        if known is None:
            known = self._look(scope, plan)
        for table in known.read:
            table.reads += calls
        for table in known.written:
            table.writes += calls
        if known.why_unseen is not None:
            causes = findings.asked if plan.discovers_alone else findings.unseen
            causes.find(plan.reason, known.why_unseen).add(known.shown, calls)
        if kind not in _READS:
            return _Counted(count)
        findings.reads.add(calls)
        if reason is Reason.REPLICA:
            findings.away.add(calls)
            if plan.uncached is not None:
                findings.uncached.find(plan.uncached, plan.detail).add(known.shown, calls)
            return _Counted(count, findings.reads, findings.away)
        cause = findings.blocked.find(reason, plan.detail if reason is plan.reason else "")
        cause.add(known.shown, calls)
        return _Counted(count, findings.reads, cause.count)

    def _is_hit(self, event: Ran, visit: Visit, scope: Scope, plan: Plan, reading: Reading) -> bool:
        """Look a read up in the cache of the model, and put it there."""
        if plan.uncached is not None or reading.clock or plan.read_set is None:
            return False
        if not event.values and PARAMETER in event.text:
            self.findings.valueless += 1
            return False
        version = self._ledger.version(plan.read_set)
        place = (scope.database, scope.user, scope.search_path, visit.settings)
        key = hash((place, event.text, event.values))
        cached = self._cached
        before = cached.pop(key, None)
        cached[key] = version
        if len(cached) > RESULTS:
            cached.popitem(last=False)
        return before == version

    def _look(self, scope: Scope, plan: Plan) -> _Known:
        """Find out what a statement touches, once."""
        if len(self._known) >= 2 * STATEMENTS:
            self._known.clear()
        statement = plan.statement
        catalog = scope.catalog
        # What can't be cut into tokens may hold anything: it is not shown.
        text = shorten(shown(statement.text)) or "(a text that is not certain)"
        known = self._known[plan] = _Known(text, [], [])
        if catalog is None:
            return known
        unseen = ""
        if statement.kind is not Kind.OPAQUE:
            access = catalog.resolve(statement, scope.search_path, scope.user)
            unseen = access.unseen
            known.read = self._traffic(catalog, access.read_set - access.write_set)
            known.written = self._traffic(catalog, access.write_set)
        if are_unseen(plan.writes):
            known.why_unseen = unseen or plan.detail or statement.kind.value
        return known

    def _traffic(self, catalog: Lineage, tables: frozenset[Table]) -> list[Traffic]:
        known = self.findings.tables
        found = []
        for table in tables:
            if table.oid < FIRST_USER_OID:
                continue  # the server's own
            traffic = known.get(table)
            if traffic is None and len(known) < TABLES:
                traffic = known[table] = Traffic(catalog.name_of(table.oid))
            if traffic is not None:
                found.append(traffic)
        return found
