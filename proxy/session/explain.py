"""EXPLAIN ROUTE: where a statement would go now, and why, for whoever asks on any connection."""

from __future__ import annotations

import re
from typing import Final

from proxy import __version__
from proxy.freshness.shares import US
from proxy.routing.facts import KEPT, Fact, Verdict, facts_of, never_cached, refused
from proxy.routing.plan import Plan
from proxy.routing.router import Standing
from proxy.routing.terms import Terms
from proxy.session.own import POSITION
from proxy.session.ports import Services
from proxy.session.profile import Profile
from proxy.sql.hints import read_hint
from proxy.types import Position, Reason, Role
from proxy.wire.requests import Execution

Rows = tuple[list[str], list[list[str]]]

_BETWEEN: Final = rb"(?:\s|--[^\n]*\n|/\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*\*/)*\*/)*"
"""Space and comments, nested once: what is nested more is not found, and said not to be."""

_ROUTE: Final = re.compile(rb"%bexplain%broute\b" % (_BETWEEN, _BETWEEN), re.IGNORECASE)
_VERSION: Final = re.compile(
    rb"%bshow%btidegate\s*\.\s*version\s*;?\s*" % (_BETWEEN, _BETWEEN), re.I
)
_SHOW: Final = re.compile(rb"%bshow\b" % _BETWEEN, re.IGNORECASE)
_SETTING: Final = re.compile(rb"tidegate\s*\.\s*[^\s=;]*", re.IGNORECASE)


def answer_for_proxy(
    services: Services, profile: Profile, asked: Execution, blocked: Reason | None
) -> Rows:
    """Answer a statement that is meant for the proxy; see `Services.explain`."""
    sql = asked.sql or b""
    route = _ROUTE.match(sql)
    if route is not None:
        asked.sql = sql[route.end() :].lstrip()
        return explain_route(services, profile, asked, blocked)
    if _VERSION.fullmatch(sql):
        return ["tidegate.version"], [[__version__]]
    setting = _SETTING.search(sql)
    name = _spaceless(setting[0]) if setting is not None else "tidegate"
    return [name], [[profile.show_own(name)]]


def asks_position(sql: bytes) -> bool:
    """Tell whether what is meant for the proxy asks where the primary is."""
    setting = _SETTING.search(sql) if _SHOW.match(sql) else None
    return setting is not None and _spaceless(setting[0]) == POSITION


def _spaceless(name: bytes) -> str:
    return "".join(name.decode("utf-8", "replace").lower().split())


def explain_route(
    services: Services, profile: Profile, asked: Execution, blocked: Reason | None
) -> Rows:
    """Say what is known of a statement, and what would be decided on it now."""
    reading = services.reader.read(asked.sql or b"", profile.modes)
    scope = profile.scope
    plan = services.planner.plan(scope, reading.statements[0])
    hint = read_hint(reading.hint) if reading.hint else None
    terms = profile.terms(profile.rule_of(plan), hint)
    goes_to, reason = _route(services, plan, blocked, terms)
    cache = _cache(services, profile, plan, asked, blocked, terms, clock=reading.clock)
    verdict = Verdict(goes_to, reason, cache, terms)
    facts = facts_of(plan, scope, verdict, clock=reading.clock)
    facts += _doubts(services, plan)
    facts += _servers(services, plan, blocked, terms)
    return ["fact", "value"], [[name, value] for name, value in facts]


def _route(
    services: Services, plan: Plan, blocked: Reason | None, terms: Terms
) -> tuple[str, Reason]:
    primary = services.router.primary
    name = f"primary {primary.name}" if primary is not None else "no primary"
    if plan.read_set is None:
        return name, plan.reason
    if blocked is not None:
        return name, blocked
    if terms.rule is not None and terms.rule.reject is not None:
        return "nobody", Reason.RULE
    if services.ledger.is_quarantined(plan.read_set):
        return name, Reason.AUDIT
    choice = services.router.choose_by(plan.read_set, services.clock(), terms, None)
    server = choice.server
    return (name if server is None else f"replica {server.name}"), choice.reason


def _cache(
    services: Services,
    profile: Profile,
    plan: Plan,
    asked: Execution,
    blocked: Reason | None,
    terms: Terms,
    *,
    clock: bool,
) -> str:
    """Say what the cache has to do with this very statement and its parameters, now."""
    never = never_cached(plan, clock=clock)
    if never is not None:
        return never
    if blocked is not None:
        return refused(blocked)
    if services.results is None or profile.context is None:
        return refused(Reason.CACHE_OFF)
    if plan.read_set is not None and services.ledger.is_quarantined(plan.read_set):
        return refused(Reason.AUDIT)
    why = services.results.verdict(profile.context, plan, asked, terms, services.clock())
    if why is Reason.HIT:
        return "hit now"
    return KEPT if why is None else refused(why)


def _doubts(services: Services, plan: Plan) -> list[Fact]:
    """Say whose audit has any of the tables in quarantine."""
    if plan.read_set is None:
        return []
    ledger = services.ledger
    return [
        Fact("in quarantine", f"found by member {owner}" if owner != US else "found here")
        for owner in ledger.doubters
        if not ledger.doubted_by(owner).isdisjoint(plan.read_set.tables)
    ]


def _servers(services: Services, plan: Plan, blocked: Reason | None, terms: Terms) -> list[Fact]:
    read_set = plan.read_set if blocked is None else None
    facts = []
    if read_set is not None:
        need = services.ledger.need(read_set)
        known = "a position not known yet" if need is None else _shown(services, need)
        facts.append(Fact("replicas need", known))
    for standing in services.router.standings(read_set, services.clock(), terms):
        facts.append(Fact(standing.server.name, _standing(services, standing)))
    return facts


def _standing(services: Services, standing: Standing) -> str:
    server = standing.server
    is_primary = server.role is Role.PRIMARY
    position = _shown(services, standing.position)
    said = [server.role.value, f"{'at' if is_primary else 'replayed'} {position}"]
    if not is_primary:
        lag = standing.lag
        said.append("lag not known" if lag is None else services.dialect.behind(lag))
    latency = standing.latency
    said.append(f"{latency * 1000:.2f} ms" if latency else "not measured")
    said.append(f"not eligible: {standing.why_not}" if standing.why_not else "eligible")
    return ", ".join(said)


def _shown(services: Services, position: Position) -> str:
    return services.dialect.shown(position) if position >= 0 else "unknown"
