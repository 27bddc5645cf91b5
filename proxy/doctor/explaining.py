"""`tidegate explain`: what would be decided on a statement, told without a server."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import Unanswerable
from proxy.freshness.ledger import Ledger
from proxy.routing.facts import KEPT, Fact, Verdict, facts_of, never_cached, refused
from proxy.routing.plan import Plan, Planner
from proxy.routing.reading import Reader
from proxy.settings.model import ServerGroup
from proxy.settings.values import PrimaryReads
from proxy.sql.catalog import Catalog
from proxy.sql.statement import Kind
from proxy.types import Reason, Token


def explain(
    sql: str, catalog: Catalog, group: ServerGroup, *, user: str, search_path: Sequence[str]
) -> list[Fact]:
    """List what is known of a statement, and what would be decided on it.

    Args:
        sql: One statement.
        catalog: The definitions it is looked up in.
        group: The settings that it would be served by.
        user: Who asks.
        search_path: What its names are looked up in.

    Raises:
        Unanswerable: It is not one statement, or not understood.
    """
    reading = Reader().read(sql.encode("utf-8", "surrogateescape"))
    if len(reading.statements) > 1:
        raise Unanswerable(f"{len(reading.statements)} statements: explain them one by one")
    (statement,) = reading.statements
    if statement.kind is Kind.EMPTY:
        raise Unanswerable("there is no statement to be explained")
    if statement.kind is Kind.OPAQUE and statement.reason is Reason.UNPARSED:
        why = statement.detail or "how the server would read it is not certain"
        raise Unanswerable(f"not understood: {why}; at work it would go to the primary")
    planner = Planner(Ledger(Token(1)))
    planner.know(catalog.database, catalog)
    scope = planner.scope(catalog.database, user, tuple(search_path))
    plan = planner.plan(scope, statement)
    verdict = Verdict(_goes_to(plan, group), plan.reason, _cache(plan, group, clock=reading.clock))
    return facts_of(plan, scope, verdict, clock=reading.clock)


def _goes_to(plan: Plan, group: ServerGroup) -> str:
    if plan.read_set is None:
        return "the primary"
    if len(group.servers) == 1:
        return "the primary, as there is one server only"
    if group.primary_reads is PrimaryReads.SHARE:
        return "the fastest server that has what it must see"
    return "the fastest replica that has what it must see; the primary while none has"


def _cache(plan: Plan, group: ServerGroup, *, clock: bool) -> str:
    never = never_cached(plan, clock=clock)
    if never is not None:
        return never
    return KEPT if group.cache else refused(Reason.CACHE_OFF)
