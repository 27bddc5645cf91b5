"""EXPLAIN ROUTE: where a statement would go now, and why, for whoever asks on any connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy import __version__
from proxy.routing.plan import Plan
from proxy.routing.terms import Terms
from proxy.session.ports import Services
from proxy.session.profile import Profile
from proxy.settings.values import format_duration
from proxy.sql.digest import digest, shown
from proxy.sql.hints import read_hint
from proxy.types import ALL_OID, SCHEMA_OID, Reason, Table

Rows = tuple[list[str], list[list[str]]]

_BETWEEN: Final = rb"(?:\s|--[^\n]*\n|/\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*\*/)*\*/)*"
"""Space and comments, nested once: what is nested more is not found, and said not to be."""

_ROUTE: Final = re.compile(rb"%bexplain%broute\b" % (_BETWEEN, _BETWEEN), re.IGNORECASE)
_VERSION: Final = re.compile(
    rb"%bshow%btidegate\s*\.\s*version\s*;?\s*" % (_BETWEEN, _BETWEEN), re.I
)
_SETTING: Final = re.compile(rb"tidegate\s*\.\s*[^\s=;]*", re.IGNORECASE)


def answer_for_proxy(
    services: Services, profile: Profile, sql: bytes, blocked: Reason | None
) -> Rows:
    """Answer a statement that is meant for the proxy; see `Services.explain`."""
    route = _ROUTE.match(sql)
    if route is not None:
        return explain_route(services, profile, sql[route.end() :], blocked)
    if _VERSION.fullmatch(sql):
        return ["tidegate.version"], [[__version__]]
    setting = _SETTING.search(sql)
    name = _spaceless(setting[0]) if setting is not None else "tidegate"
    return [name], [[profile.show_own(name)]]


def explain_route(services: Services, profile: Profile, sql: bytes, blocked: Reason | None) -> Rows:
    """Say what is known of a statement, and what would be decided on it now."""
    reading = services.reader.read(sql)
    plan = services.planner.plan(profile.scope, reading.statements[0])
    hint = read_hint(reading.hint) if reading.hint else None
    terms = profile.terms(profile.rule_of(plan), hint)
    return ["fact", "value"], _explain(services, profile, plan, blocked, terms)


def _explain(
    services: Services, profile: Profile, plan: Plan, blocked: Reason | None, terms: Terms
) -> list[list[str]]:
    statement = plan.statement
    rows = [
        ["kind", statement.kind.value],
        ["fingerprint", digest(statement.text)],
        ["statement", shown(statement.text)],
        ["names", _names(statement.reads | statement.writes)],
        ["functions", ", ".join(sorted(call.name for call in statement.functions)) or "none"],
    ]
    if plan.writes:
        rows.append(["writes", _tables(services, plan.writes)])
    if plan.read_set is not None:
        rows.append(["reads", _tables(services, plan.read_set.tables) or "no table"])
    rows.append(["rule", "none" if terms.rule is None else terms.rule.name])
    if plan.read_set is not None:
        rows.append(["consistency", _contract(terms)])
    server, reason = _route(services, plan, blocked, terms)
    rows.append(["goes to", server])
    rows.append(["reason", reason.value + (f" ({plan.detail})" if plan.detail else "")])
    rows.append(["cache", _cache(profile, plan, terms)])
    rows += _servers(services, plan)
    return rows


def _contract(terms: Terms) -> str:
    contract = terms.contract
    if contract.is_strong:
        return contract.consistency.value
    return f"{contract.consistency.value}, max_staleness {format_duration(contract.max_staleness)}"


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
    choice = services.router.choose_by(plan.read_set, services.clock(), terms, None)
    server = choice.server
    return (name if server is None else f"replica {server.name}"), choice.reason


def _spaceless(name: bytes) -> str:
    return "".join(name.decode("utf-8", "replace").lower().split())


def _cache(profile: Profile, plan: Plan, terms: Terms) -> str:
    if plan.read_set is None:
        return "no"
    uncached = plan.uncached or terms.uncached
    if uncached is not None:
        return f"no ({uncached.value})"
    return "yes" if profile.context is not None else f"no ({Reason.CACHE_OFF.value})"


def _servers(services: Services, plan: Plan) -> list[list[str]]:
    if plan.read_set is None:
        return []
    need = services.ledger.need(plan.read_set)
    rows = [["replicas need", "a position not known yet" if need is None else _lsn(need)]]
    for server, position, follows in services.router.standings():
        state = f"replayed {_lsn(position)}" if follows else "not a replica of this primary"
        rows.append([server.name, f"{server.role.value}, {state}"])
    return rows


def _names(names: frozenset[tuple[str | None, str]]) -> str:
    shown = sorted(f"{schema}.{name}" if schema else name for schema, name in names)
    return ", ".join(shown) or "none"


def _tables(services: Services, tables: Iterable[Table]) -> str:
    return ", ".join(sorted({_table(services, table) for table in tables}))


def _table(services: Services, table: Table) -> str:
    database, oid = table
    if oid > ALL_OID:
        catalog = services.planner.catalog(database)
        return str(oid) if catalog is None else catalog.name_of(oid)
    what = "definitions" if oid == SCHEMA_OID else "any table"
    return f"{what} of {database}" if database else what


def _lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFF_FFFF:X}" if position >= 0 else "unknown"
