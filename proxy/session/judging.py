"""What rules, settings and hints say of a request; and what is done with one that they refuse.

Told from the request and from what the session is like, like its meaning. Only where somebody has
said anything is this asked at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from proxy.errors import ClientVisibleError, Rejected
from proxy.freshness.floor import Floor
from proxy.routing.plan import Plan
from proxy.routing.reading import Reading
from proxy.routing.rules import Match
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.mirroring import note
from proxy.session.phase import SETTING, WAITING
from proxy.session.ports import Link
from proxy.sql.hints import Hint, read_hint
from proxy.sql.statement import Kind
from proxy.types import Consistency

_SESSION: Final = Consistency.SESSION
_ALWAYS_RUN: Final = frozenset((Kind.COMMIT, Kind.ROLLBACK, Kind.ROLLBACK_TO, Kind.RELEASE))
"""A client must be able to end what it has begun."""

_FAILS: Final = b'ROLLBACK TO SAVEPOINT "tidegate: a statement was refused"'
"""Fails wherever it is run, and the transaction with it."""


def judge(
    session: Conversation, errand: Errand, readings: Sequence[Reading], *, again: bool = False
) -> None:
    """Take in what is said of a request, or `again` of what is left of one.

    A hint in a text with several statements is for all of them, and so is what comes first of their
    rules; one that is refused is refused with the others.
    """
    profile = session.profile
    first: Match | None = None
    timeout = inf
    is_mirrored = False
    if profile.rules is not None:
        for plan in errand.plans:
            rule = profile.rule_of(plan)
            if rule is None:
                continue
            if plan is errand.plans[0]:
                first = rule
            if not again:
                rule.count.number += 1
            if plan.statement.kind in _ALWAYS_RUN:
                continue
            if rule.reject is not None:
                errand.refusal = _refusal(rule)
            if rule.timeout is not None:
                timeout = min(timeout, rule.timeout)
            if rule.mirror is not None:
                is_mirrored = True
    if is_mirrored:
        errand.copies = note(session, errand.request, errand.plans, readings)
    if timeout < inf and errand.refusal is None:
        session.services.limit(errand, timeout, lambda: session.expire(errand))
    hint = _hint_of(session, readings)
    late = session.late
    # Of one snapshot nothing may be older than the rest.
    terms = profile.terms(first, hint, must_be_strong=late is not None and late.seen is not None)
    if not terms.is_plain:
        errand.terms = terms
    if terms.contract.consistency is _SESSION and session.floor is None:
        session.floor = Floor(session.services.clock())


def must_wait(session: Conversation, errand: Errand) -> bool:
    """Tell if a rule lets an errand through later only; then it stands in line."""
    rule = None if errand.terms is None else errand.terms.rule
    if rule is None or rule.throttle is None:
        return False
    if any(plan.statement.kind in _ALWAYS_RUN for plan in errand.plans):
        return False
    line = session.services.throttle(rule, session, lambda: session.errand is errand)
    if line is None:
        return False
    session.phase = WAITING
    session.line = line
    return True


def refused(session: Conversation, plans: Sequence[Plan]) -> ClientVisibleError | None:
    """Say why the next part of a batch is refused; None: it is not."""
    for plan in plans:
        rule = session.profile.rule_of(plan)
        if rule is None:
            continue
        rule.count.number += 1
        if rule.reject is not None and plan.statement.kind not in _ALWAYS_RUN:
            return _refusal(rule)
    return None


def refuse_at_server(session: Conversation, link: Link) -> None:
    """Make an open transaction fail in a refused statement's place; the client is told then."""
    session.phase = SETTING
    link.write(link.exchange.ask(_FAILS))


def raise_floor(floor: Floor, errand: Errand, now: float) -> None:
    """Note what the client has been answered, so that it is never shown less."""
    server = errand.server
    if errand.need is None or server is None:
        floor.rise(now)
    else:
        floor.read(server, server.incarnation, errand.answered_at)


def _refusal(rule: Match) -> Rejected:
    return Rejected(rule.reject or "", detail=f'rule "{rule.name}"')


def _hint_of(session: Conversation, readings: Sequence[Reading]) -> Hint | None:
    said = b""
    for reading in readings:
        if reading.hint:
            said += b" " + reading.hint
    if not said:
        return None
    hint = read_hint(said.strip())
    if hint.misread:
        session.services.misread(hint.misread)
    return hint
