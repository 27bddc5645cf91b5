"""EXPLAIN ROUTE: where a statement would go now, and why, for whoever asks on any connection."""

from __future__ import annotations

from typing import Final

from proxy import __version__
from proxy.routing.plan import Plan
from proxy.session.ports import Services
from proxy.session.profile import Profile
from proxy.types import Reason

Rows = tuple[list[str], list[list[str]]]

_PREFIX: Final = b"explain route"


def answer_for_proxy(services: Services, profile: Profile, sql: bytes) -> Rows:
    """Answer a statement that is meant for the proxy."""
    text = sql.strip().rstrip(b";").strip()
    if text.lower().startswith(_PREFIX):
        return explain_route(services, profile, text[len(_PREFIX) :].strip())
    return ["tidegate"], [[__version__]]


def explain_route(services: Services, profile: Profile, sql: bytes) -> Rows:
    """Say what is known of a statement, and what would be decided on it now."""
    reading = services.reader.read(sql)
    rows: list[list[str]] = []
    for statement in reading.statements:
        plan = services.planner.plan(profile.scope, statement)
        rows += _explain(services, profile, plan, several=len(reading.statements) > 1)
    return ["fact", "value"], rows


def _explain(services: Services, profile: Profile, plan: Plan, *, several: bool) -> list[list[str]]:
    statement = plan.statement
    rows = [
        ["kind", statement.kind.value],
        ["names", _names(statement.reads | statement.writes)],
        ["functions", ", ".join(sorted(call.name for call in statement.functions)) or "none"],
    ]
    if plan.writes:
        rows.append(["writes", ", ".join(sorted(map(_table, plan.writes)))])
    if plan.read_set is not None:
        rows.append(["reads", ", ".join(sorted(map(_table, plan.read_set.tables))) or "no table"])
    server, reason = _route(services, profile, plan, several=several)
    rows.append(["goes to", server])
    rows.append(["reason", reason.value + (f" ({plan.detail})" if plan.detail else "")])
    rows.append(["cache", _cache(profile, plan)])
    rows += _servers(services, plan)
    return rows


def _route(
    services: Services, profile: Profile, plan: Plan, *, several: bool
) -> tuple[str, Reason]:
    primary = services.router.primary
    name = f"primary {primary.name}" if primary is not None else "no primary"
    if plan.read_set is None:
        return name, plan.reason
    if several or profile.blocked is not None:
        return name, profile.blocked or Reason.SEVERAL
    server, reason = services.router.choose(plan.read_set, services.clock())
    return (name if server is None else f"replica {server.name}"), reason


def _cache(profile: Profile, plan: Plan) -> str:
    if plan.read_set is None:
        return "no"
    if plan.uncached is not None:
        return f"no ({plan.uncached.value})"
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


def _table(table: tuple[str, int]) -> str:
    database, oid = table
    if oid > 1:
        return str(oid)
    return ("definitions" if oid == 0 else "any table") + (f" of {database}" if database else "")


def _lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFF_FFFF:X}" if position >= 0 else "unknown"
