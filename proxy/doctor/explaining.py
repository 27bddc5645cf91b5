"""`tidegate explain`: what would be decided on a statement, told without a server."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import Unanswerable
from proxy.freshness.contracts import Contract
from proxy.freshness.ledger import Ledger
from proxy.routing.facts import KEPT, Fact, Verdict, facts_of, never_cached, refused
from proxy.routing.plan import Plan, Planner, Scope
from proxy.routing.reading import Reader
from proxy.routing.rules import Match, RuleBook
from proxy.routing.terms import NO_WISHES, Terms, agree
from proxy.settings.model import ServerGroup
from proxy.settings.values import PrimaryReads
from proxy.sql.hints import read_hint
from proxy.sql.language import Language, PostgresLanguage
from proxy.sql.lineage import Lineage
from proxy.sql.statement import Kind
from proxy.types import Reason, Token


def explain(
    sql: str,
    catalog: Lineage,
    group: ServerGroup,
    *,
    user: str,
    search_path: Sequence[str],
    language: Language | None = None,
) -> list[Fact]:
    """List what is known of a statement, and what would be decided on it.

    Args:
        sql: One statement.
        catalog: The definitions it is looked up in.
        group: The settings that it would be served by.
        user: Who asks.
        search_path: What its names are looked up in.
        language: What it is written in; None: PostgreSQL's.

    Raises:
        Unanswerable: It is not one statement, or not understood.
    """
    reader = Reader(language=language or PostgresLanguage())
    reading = reader.read(sql.encode("utf-8", "surrogateescape"))
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
    hint = read_hint(reading.hint) if reading.hint else None
    terms = agree(
        Contract(group.consistency, group.max_staleness), _rule(plan, scope, group), NO_WISHES, hint
    )
    cache = _cache(plan, group, terms, clock=reading.clock)
    verdict = Verdict(_goes_to(plan, group, terms), _reason(plan, terms), cache, terms)
    return facts_of(plan, scope, verdict, clock=reading.clock)


def _rule(plan: Plan, scope: Scope, group: ServerGroup) -> Match | None:
    """Find the rule; one that asks for an application or an address is passed over."""
    candidates = RuleBook(group.rules).candidates(scope.user, scope.database, "", "")
    if candidates is None:
        return None
    path = [scope.user if schema == "$user" else schema for schema in scope.search_path]
    return candidates.verdict(plan, scope.catalog, path)


def _reason(plan: Plan, terms: Terms) -> Reason:
    if plan.read_set is None:
        return plan.reason
    if terms.rule is not None and terms.rule.reject is not None:
        return Reason.RULE
    return terms.to_primary or plan.reason


def _goes_to(plan: Plan, group: ServerGroup, terms: Terms) -> str:
    if plan.read_set is None or terms.to_primary is not None:
        return "the primary"
    if terms.rule is not None and terms.rule.reject is not None:
        return "nobody"
    if len(group.servers) == 1:
        return "the primary, as there is one server only"
    if group.primary_reads is PrimaryReads.SHARE and not terms.only_replicas:
        return "the fastest server that has what it must see"
    return "the fastest replica that has what it must see; the primary while none has"


def _cache(plan: Plan, group: ServerGroup, terms: Terms, *, clock: bool) -> str:
    never = never_cached(plan, clock=clock)
    if never is not None:
        return never
    uncached = terms.uncached or (None if group.cache else Reason.CACHE_OFF)
    return KEPT if uncached is None else refused(uncached)
