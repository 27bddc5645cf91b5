"""What a statement means in one place: a database, a user and a search path.

`Statement` is what the text says; the catalog says what its names are. A `Plan` is the two
together, in the words of the ledger: what a read depends on, what a commit would change. Made once
per statement and scope; a new catalog makes new plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.tables import EVERY_DATABASE, ReadSet, everything_in, schema_of
from proxy.sql.access import Access
from proxy.sql.lineage import Lineage
from proxy.sql.statement import NO_NAMES, Effect, Kind, Statement
from proxy.types import Reason, Table

NOTHING: Final[frozenset[Table]] = frozenset()

PLANS: Final = 10_000
"""Scopes kept, and plans in each: far more than the statements of any one application."""

_COMMITS_INSIDE: Final = frozenset((Kind.OPAQUE,))

UNSEEN: Final = Statement(kind=Kind.WRITE, text=b"", reason=Reason.UNPARSED)
"""A query or a change of rows whose text nobody has seen: the server can say what it wrote."""

DISCOVERED: Final = frozenset((Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.CALL))
"""What runs in any transaction, to its end: the locks it has then are of all that it wrote. (In a
transaction the server lets no procedure commit.)"""

_EVALUATING: Final = frozenset(
    {
        *(Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.SCHEMA, Kind.CALL),
        *(Kind.COPY_OUT, Kind.EXPLAIN, Kind.DECLARE),
    }
)

_BY_KIND: Final = {
    Kind.LOCKING: Reason.LOCK,
    Kind.WRITE: Reason.WRITE,
    Kind.SCHEMA: Reason.SCHEMA,
    Kind.OPAQUE: Reason.OPAQUE,
}


@final
class Plan:
    """See the module.

    Attributes:
        read_set: What the read depends on, where it may leave the primary; else None.
        reason: REPLICA for a read that may leave the primary, else why it may not.
        detail: The name behind `reason`.
        uncached: Why its result may not be kept; None when it may.
        writes: What a commit of it changes.
        known: The part of `writes` that is certain, where it is all tables for want of knowledge.
        discovers: Whether the server can say before the commit which tables it wrote.
        counts: The one table whose rows its command tag counts; None where it may be several.
        may_commit: Whether it may commit by itself, wherever it is run.
        commits: Whether it may where it is run outside of a transaction, in the middle of what it
            does.
        taints: Whether it may leave something in the session that nobody declared.
        tells_time: Whether its result is of the moment, which stands still in a transaction.
        is_plain: Whether it reads, and nothing else: nothing is left of it to be thought of.
        settings: Custom settings that the read asks for. It may leave the primary only where the
            session has said what they are.
        evaluates: Whether it may use a relation, itself or in a body that it runs.
        generation: Of the catalogs, when this was made.
        suspected_in: Where a CALL was planned of which nobody could say yet whether it changes
            definitions; None: what it writes says so.
    """

    __slots__ = (
        "commits",
        "counts",
        "detail",
        "discovers",
        "evaluates",
        "generation",
        "is_plain",
        "known",
        "may_commit",
        "read_set",
        "reason",
        "settings",
        "statement",
        "statistics",
        "suspected_in",
        "taints",
        "tells_time",
        "uncached",
        "verdicts",
        "writes",
    )

    def __init__(self, statement: Statement, generation: int) -> None:
        self.statement = statement
        self.generation = generation
        self.read_set: ReadSet | None = None
        self.settings: frozenset[str] = NO_NAMES
        self.reason = statement.reason or _BY_KIND.get(statement.kind, Reason.UTILITY)
        self.detail = statement.detail
        self.uncached: Reason | None = Reason.CACHE_OFF
        self.writes = NOTHING
        self.suspected_in: Scope | None = None
        self.known = NOTHING
        self.discovers = False
        self.counts: Table | None = None
        self.commits = statement.kind in _COMMITS_INSIDE
        self.may_commit = self.commits or statement.ends_transaction
        self.taints = (
            statement.kind is Kind.OPAQUE
            or Effect.UNTRACKED in statement.effects
            or any(name == "pg_settings" for _, name in statement.writes)  # a way to SET
        )
        names_something = bool(statement.reads or statement.functions)
        self.evaluates = names_something or statement.kind in _EVALUATING
        self.tells_time = statement.cache_reason is Reason.CLOCK
        self.is_plain = False
        self.statistics: object | None = None  # of the cache's admission
        self.verdicts: dict[object, Any] = {}  # of rules, by a session's candidates

    @property
    def discovers_alone(self) -> bool:
        """Whether the server can say so, too, where it is run outside of a transaction."""
        return self.discovers and not self.commits


@final
class Scope:
    """A database, a user and a search path: what a name means is the same within it."""

    __slots__ = ("catalog", "database", "plans", "search_path", "user")

    def __init__(self, database: str, user: str, search_path: tuple[str, ...]) -> None:
        self.database = database
        self.user = user
        self.search_path = search_path
        self.catalog: Lineage | None = None
        self.plans: dict[Statement, Plan] = {}


@final
class Planner:
    """Makes plans, from the catalogs that are known to be true.

    `generation` grows whenever a catalog may have changed: what was planned before may have missed
    a trigger, so a commit that was planned in an older generation counts for everything.

    Args:
        ledger: Interns what statements read.
        limit: How many scopes are kept, and how many plans in each.
    """

    __slots__ = ("_catalogs", "_ledger", "_limit", "_scopes", "_suspects", "generation")

    def __init__(self, ledger: Ledger, limit: int = PLANS) -> None:
        self._ledger = ledger
        self._limit = limit
        self._catalogs: dict[str, Lineage] = {}
        self._scopes: dict[tuple[str, str, tuple[str, ...]], Scope] = {}
        self._suspects: dict[str, list[Plan]] = {}
        self.generation = 0

    def scope(self, database: str, user: str, search_path: tuple[str, ...]) -> Scope:
        """Find or make a scope."""
        key = (database, user, search_path)
        scope = self._scopes.get(key)
        if scope is None:
            if len(self._scopes) >= self._limit:
                self._scopes.clear()  # sessions keep theirs; it is only shared by fewer
            scope = self._scopes[key] = Scope(database, user, search_path)
        return scope

    def know(self, database: str, catalog: Lineage) -> bool:
        """Take in a catalog that is true now; False: a suspect may have changed it meanwhile."""
        suspects = self._suspects.pop(database, [])
        if any(_may_redefine(plan, catalog) for plan in suspects):
            return False
        self._catalogs[database] = catalog
        return True

    def may_have_redefined(self, database: str, plans: Sequence[Plan]) -> bool:
        """Judge what was committed, and was planned while nobody knew the definitions.

        Most procedures change none. If each that is called while definitions are read had them read
        again, they would be read for ever. What is not known yet is judged when it is: a procedure
        that has been changed since has been so by a commit that is heard of.
        """
        if any(plan.suspected_in is None for plan in plans):
            return True
        catalog = self._catalogs.get(database)
        if catalog is not None:
            return any(_may_redefine(plan, catalog) for plan in plans)
        suspects = self._suspects.setdefault(database, [])
        if len(suspects) + len(plans) > self._limit:
            return True
        suspects += plans
        return False

    def distrust(self, database: str | None = None) -> None:
        """Believe no catalog of a database, or of any, until it has been looked at again."""
        self.generation += 1
        if database is None:
            self._catalogs.clear()
        else:
            self._catalogs.pop(database, None)

    def is_known(self, database: str) -> bool:
        """Tell whether there is a catalog that can be believed."""
        return database in self._catalogs

    def catalog(self, database: str) -> Lineage | None:
        """Find the catalog of a database, if there is one that can be believed."""
        return self._catalogs.get(database)

    def plan(self, scope: Scope, statement: Statement) -> Plan:
        """Find or make the plan of a statement."""
        catalog = self._catalogs.get(scope.database)
        if catalog is not scope.catalog:
            scope.plans.clear()
            scope.catalog = catalog
        elif len(scope.plans) > self._limit:
            for older in list(scope.plans)[: len(scope.plans) // 2]:
                del scope.plans[older]
        if statement.block is not None:
            return self._make(scope, statement, catalog)  # nobody sends the same one again
        plan = scope.plans.get(statement)
        if plan is None:
            plan = self._make(scope, statement, catalog)
            plan.is_plain = statement.kind is Kind.READ and not (
                plan.writes or plan.taints or statement.effects
            )
            scope.plans[statement] = plan
        elif catalog is not None:
            plan.generation = self.generation  # believed again, the catalog says the same
        return plan

    def any_table(self, database: str) -> frozenset[Table]:
        """What a commit changes that nobody can tell the tables of."""
        return frozenset((everything_in(database),))

    def everything(self, database: str) -> frozenset[Table]:
        """The same, for what may change definitions too."""
        return self.any_table(database) | {schema_of(EVERY_DATABASE)}

    def _make(self, scope: Scope, statement: Statement, catalog: Lineage | None) -> Plan:
        plan = Plan(statement, self.generation)
        kind = statement.kind
        if kind is Kind.OPAQUE:
            plan.writes = self.everything(scope.database)
            return plan
        if statement is UNSEEN:
            plan.writes = self.everything(scope.database)
            plan.discovers = plan.taints = True
            return plan
        is_temporary = Effect.TEMPORARY in statement.effects  # which event triggers hear of
        if kind is Kind.SCHEMA:
            if not is_temporary:  # or its own session alone sees it, which is pinned from now on
                plan.writes = frozenset((schema_of(EVERY_DATABASE),))
            plan.taints = plan.taints or b"pg_temp" in statement.text
            plan.taints = plan.taints or "pg_temp" in scope.search_path
        names_something = statement.reads or statement.writes or statement.functions
        if not (names_something or is_temporary or kind in (Kind.READ, Kind.CALL)):
            return plan
        if catalog is None:
            return self._without_catalog(plan, scope)
        access = catalog.resolve(statement, scope.search_path, scope.user)
        self._judge(plan, scope, access)
        return plan

    def _without_catalog(self, plan: Plan, scope: Scope) -> Plan:
        statement = plan.statement
        if statement.kind is Kind.READ:
            plan.reason = Reason.CATALOG_LOADING
        if statement.kind is Kind.CALL:
            plan.may_commit = plan.commits = plan.taints = True
            plan.writes = self.everything(scope.database)
            plan.suspected_in = scope
            return plan
        # Even a read: a view may call what writes. Definitions are not counted as changed, or what
        # runs while they are being read would have them read again, for ever.
        plan.writes |= self.any_table(scope.database)
        plan.taints = plan.taints or bool(statement.functions)
        return plan

    def _judge(self, plan: Plan, scope: Scope, access: Access) -> None:
        kind = plan.statement.kind
        if kind is Kind.CALL:
            plan.may_commit = access.hidden
            plan.commits = access.hidden or access.commits
        if access.schema and kind is not Kind.SCHEMA:
            plan.writes |= {schema_of(EVERY_DATABASE)}
        if not access.exact:
            plan.writes |= self.everything(scope.database)
            plan.known = access.write_set
            plan.discovers = kind in DISCOVERED and not access.hidden
        elif access.write_set:
            plan.writes |= access.write_set
            is_counted = kind is Kind.WRITE and access.counted
            if is_counted and len(access.write_set) == 1:
                (plan.counts,) = access.write_set
        plan.taints = plan.taints or access.taints
        plan.tells_time = plan.tells_time or access.clock
        if kind is not Kind.READ:
            return
        if access.replica is not None:
            plan.reason, plan.detail = access.replica, access.detail
            return
        plan.reason = Reason.REPLICA
        plan.read_set = self._ledger.read_set(scope.database, access.read_set)
        plan.settings = access.settings
        plan.uncached = plan.statement.cache_reason or access.cache


def _may_redefine(plan: Plan, catalog: Lineage) -> bool:
    """Tell if a suspect may change definitions, as they say themselves by now."""
    scope = plan.suspected_in
    assert scope is not None
    access = catalog.resolve(plan.statement, scope.search_path, scope.user)
    return access.schema or not access.exact
