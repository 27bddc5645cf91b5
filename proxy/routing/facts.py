"""What is known of one statement, and what was decided on it, as facts for people.

`tidegate explain` and EXPLAIN ROUTE say it through this one list, so that they can't differ in more
than what each of them knows: the first has a catalog, the second the servers too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.routing.advice import ADVICE, MEANINGS, in_words
from proxy.routing.plan import Plan, Scope
from proxy.routing.terms import Terms
from proxy.settings.values import format_duration
from proxy.sql.digest import digest, shown
from proxy.sql.lineage import Lineage
from proxy.sql.statement import Statement
from proxy.types import ALL_OID, SCHEMA_OID, Reason, Table

NAMED: Final = "named"
"""The way of a table that the text itself names."""

KEPT: Final = "would be kept"
"""What is said of the cache where nothing is in the way."""


class Fact(NamedTuple):
    """A line of the answer."""

    name: str
    value: str


class Verdict(NamedTuple):
    """What was decided, by whom it was asked.

    Attributes:
        goes_to: Who serves it.
        reason: Why.
        cache: What the cache has to do with it.
        terms: What group, rule, session and hint say of it.
    """

    goes_to: str
    reason: Reason
    cache: str
    terms: Terms


def facts_of(plan: Plan, scope: Scope, verdict: Verdict, *, clock: bool) -> list[Fact]:
    """List the facts, those on the text first.

    Args:
        plan: Of the statement.
        scope: Where it was planned.
        verdict: What was decided.
        clock: Whether a literal in the text depends on the clock.
    """
    statement = plan.statement
    catalog = scope.catalog
    facts = [
        Fact("kind", statement.kind.value),
        Fact("fingerprint", digest(statement.text)),
        Fact("statement", shown(statement.text) or "(not read)"),
        Fact("names", _names(statement)),
        Fact("functions", _functions(statement, scope)),
    ]
    if plan.writes:
        facts.append(Fact("writes", _writes(plan, scope)))
    reads = _reads(plan, scope)
    if reads is not None:
        facts.append(Fact("reads", _tables(catalog, reads) or "no table"))
    ways = _ways(statement, scope)
    if ways:
        facts.append(Fact("ways", ways))
    terms = verdict.terms
    facts.append(Fact("rule", "none" if terms.rule is None else terms.rule.name))
    if terms.rule is not None and terms.rule.mirror is not None:
        facts.append(Fact("mirrored to", terms.rule.mirror))
    if plan.read_set is not None:
        facts.append(Fact("consistency", _contract(terms)))
    facts.append(Fact("goes to", verdict.goes_to))
    detail = plan.detail if verdict.reason in (plan.reason, plan.uncached) else ""
    facts.append(Fact("reason", in_words(verdict.reason, detail)))
    facts.append(Fact("meaning", MEANINGS[verdict.reason]))
    if verdict.reason in ADVICE:
        facts.append(Fact("advice", ADVICE[verdict.reason]))
    if plan.read_set is not None:
        facts.append(Fact("in a transaction", _in_transaction(plan, clock=clock)))
    facts.append(Fact("cache", verdict.cache))
    return facts


def never_cached(plan: Plan, *, clock: bool) -> str | None:
    """Say why no result of a statement is ever kept; None: one may be."""
    if plan.read_set is None:
        return "no"
    uncached = plan.uncached or (Reason.CLOCK if clock else None)
    return None if uncached is None else refused(uncached)


def refused(reason: Reason) -> str:
    """Say that a result is not kept, and why."""
    return f"no ({reason.value})"


def _contract(terms: Terms) -> str:
    contract = terms.contract
    if contract.is_strong:
        return contract.consistency.value
    return f"{contract.consistency.value}, max_staleness {format_duration(contract.max_staleness)}"


def _in_transaction(plan: Plan, *, clock: bool) -> str:
    if plan.tells_time or clock:
        return "opens it at the primary, as it tells the time"
    return "served beside it, in front of its first write"


def _reads(plan: Plan, scope: Scope) -> Iterable[Table] | None:
    if plan.read_set is not None:
        return plan.read_set.tables
    statement = plan.statement
    if scope.catalog is None or not statement.reads - statement.writes:
        return None
    return scope.catalog.resolve(statement, scope.search_path, scope.user).read_set or None


def _writes(plan: Plan, scope: Scope) -> str:
    catalog = scope.catalog
    if catalog is None or not plan.discovers_alone:
        return _tables(catalog, plan.writes)
    known = _tables(catalog, plan.known)
    access = catalog.resolve(plan.statement, scope.search_path, scope.user)
    unseen = f" ({access.unseen})" if access.unseen else ""
    return f"{known + ', and ' if known else ''}what the server says before the commit{unseen}"


def _ways(statement: Statement, scope: Scope) -> str:
    """Say by which way tables come in that the text does not name."""
    if scope.catalog is None:
        return ""
    ways: dict[str, list[str]] = {}
    for way in scope.catalog.trace(statement, scope.search_path, scope.user):
        if way.path != NAMED:
            done = ways.setdefault(f"{way.path} -> {way.table}", [])
            done.append("written" if way.is_written else "read")
    return "; ".join(f"{way} {' and '.join(done)}" for way, done in ways.items())


def _names(statement: Statement) -> str:
    names = statement.reads | statement.writes
    return ", ".join(sorted(f"{schema}.{name}" if schema else name for schema, name in names)) or (
        "none"
    )


def _functions(statement: Statement, scope: Scope) -> str:
    catalog = scope.catalog
    shown = set()
    for call in statement.functions:
        name = f"{call.schema}.{call.name}" if call.schema else call.name
        what = "" if catalog is None else catalog.volatility_of(call, scope.search_path, scope.user)
        shown.add(f"{name} ({what})" if what else name)
    return ", ".join(sorted(shown)) or "none"


def _tables(catalog: Lineage | None, tables: Iterable[Table]) -> str:
    return ", ".join(sorted({_table(catalog, table) for table in tables}))


def _table(catalog: Lineage | None, table: Table) -> str:
    database, oid = table
    if oid > ALL_OID:
        return str(oid) if catalog is None else catalog.name_of(oid)
    what = "definitions" if oid == SCHEMA_OID else "any table"
    return f"{what} of {database}" if database else what
