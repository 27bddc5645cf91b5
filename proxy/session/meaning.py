"""What a request asks for: its texts read, its statements planned.

Everything here is told from the request and from what the session is like; nothing is sent, and
nothing changes. Where a read then goes is not decided here (`way`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.routing.plan import Plan, Planner
from proxy.routing.reading import UNREAD, UNREADABLE, Reader, Reading
from proxy.session.belongings import Belongings
from proxy.session.grammar import Grammar
from proxy.session.profile import Profile
from proxy.sql.statement import Kind
from proxy.types import Reason
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_READY, Execution, Request

_EXECUTE: Final = Kind.EXECUTE
_FETCH: Final = Kind.FETCH


def read(reader: Reader, profile: Profile, execution: Execution) -> Reading:
    """Say what an execution's text asks for; a prepared statement's is kept with it."""
    if not profile.is_readable:
        return UNREADABLE
    prepared = execution.prepared
    if prepared is None:
        sql = execution.sql
        return UNREADABLE if sql is None else reader.read(sql, profile.modes)
    meaning = prepared.meaning
    if isinstance(meaning, Reading):
        return meaning
    reading = reader.read(prepared.sql, profile.modes)
    prepared.meaning = reading
    return reading


def texts_of(readings: list[Reading]) -> tuple[bytes, ...]:
    """List the statements' texts, one for each of their plans."""
    if len(readings) == 1:
        return readings[0].texts
    return tuple([text for reading in readings for text in reading.texts])


def plan_all(
    reader: Reader,
    planner: Planner,
    profile: Profile,
    readings: list[Reading],
    cursors: Mapping[Prepared | None, Execution],
) -> tuple[Plan, ...]:
    """Plan what was read, one by one, for what the session is like now.

    Args:
        reader: Reads what a statement runs by its name.
        planner: Plans it.
        profile: Of the session.
        readings: What the request's texts ask for.
        cursors: What a FETCH may run.
    """
    scope = profile.scope
    plans = [
        planner.plan(scope, statement) for reading in readings for statement in reading.statements
    ]
    for place, planned in enumerate(plans):
        kind = planned.statement.kind
        if kind is _EXECUTE:
            text = texts_of(readings)[place]
            plans[place] = _plan_executed(reader, planner, profile, planned, text)
        elif kind is _FETCH and cursors:
            plans[place] = _plan_fetched(reader, planner, profile, planned, cursors)
    return tuple(plans)


def _plan_fetched(
    reader: Reader,
    planner: Planner,
    profile: Profile,
    planned: Plan,
    cursors: Mapping[Prepared | None, Execution],
) -> Plan:
    """FETCH and MOVE run what a portal of the protocol was made of; which one is not told apart.

    What DECLARE made is not looked at: it counted for all that it may write when it was declared.
    """
    found = [
        plan
        for execution in cursors.values()
        for plan in plan_all(reader, planner, profile, [read(reader, profile, execution)], {})
        if plan.writes or plan.taints or plan.commits or plan.statement.effects
    ]
    if len(found) == 1 and found[0].read_set is None:
        return found[0]
    return planner.plan(profile.scope, UNREAD) if found else planned


def _plan_executed(
    reader: Reader, planner: Planner, profile: Profile, planned: Plan, text: bytes
) -> Plan:
    """EXECUTE does what was prepared under its name."""
    body = profile.prepared_body(text)
    if body is None:
        statement = profile.unknown_body
    else:
        statement = reader.read(body, profile.modes).statements[0]
    found = planner.plan(profile.scope, statement)
    if planned.writes:  # its arguments call what may write, or what nobody knows yet
        is_known = planner.is_known(profile.database)
        if not is_known and found.writes <= planner.any_table(profile.database):
            return planned
        return planner.plan(profile.scope, UNREAD)
    # A read by this name can't leave the primary: to others the name means something else.
    return planned if found.read_set is not None else found


def why_not_fast(
    request: Request, plans: tuple[Plan, ...], belongings: Belongings
) -> Reason | None:
    """Say why a request must go to the primary; None: it is one proven read, and that is all."""
    if len(plans) != 1:
        return Reason.SEVERAL if plans else Reason.UTILITY
    if plans[0].read_set is None:
        return plans[0].reason
    if request.end is not END_READY:
        return Reason.PIPELINE
    if plans[0].settings and not belongings.profile.has_set(plans[0].settings):
        return Reason.SETTINGS
    return belongings.why_at_primary


def asked_of_us(reader: Reader, profile: Profile, request: Request) -> Execution | None:
    """Find EXPLAIN ROUTE or SHOW tidegate.x, if a request is to run or prepare it.

    Args:
        reader: Reads it.
        profile: Of the session.
        request: Runs this and nothing else, or nothing at all.
    """
    for execution in request.executions:
        return execution.saying(read(reader, profile, execution).texts[0])
    for prepared in request.mentions():
        asked = Execution(prepared.sql, prepared, b"", is_plain=True)
        reading = read(reader, profile, asked)
        return asked if reading.statements[0].kind is Kind.PROXY else None
    return None


def deallocated_name(
    grammar: Grammar, plans: tuple[Plan, ...], texts: tuple[bytes, ...]
) -> bytes | None:
    """Find the one prepared statement that a request is there to forget."""
    if len(plans) != 1 or plans[0].statement.kind is not Kind.DEALLOCATE:
        return None
    return grammar.deallocated_name(texts[0])
