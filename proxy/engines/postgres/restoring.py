"""What a RESET leads back to: what its client said when it came.

A server knows the defaults of its own connection only, which are not the client's. Behind a request
the difference is made good before the next. Within a text it is made good at once, by statements of
ours that the client hears nothing of: another statement may follow, and what the server reports of
settings (ParameterStatus) the client believes. What is prepared is one statement, and says itself
what its client said, where that can be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxy.engines.postgres.grammar import ROLES
from proxy.routing.plan import Plan
from proxy.session.ports import Dialect
from proxy.session.state import Change, SessionState, Verb
from proxy.sql.scanner import scan
from proxy.sql.session_commands import Reset, Set, read_command
from proxy.sql.statement import Kind
from proxy.wire.requests import Request

_BACK: Final = frozenset((Kind.SET, Kind.SET_LOCAL, Kind.RESET))


def may_reset(request: Request, plans: Sequence[Plan]) -> bool:
    """Tell if a request is a text that may reset something."""
    if not request.is_one_text or (len(plans) == 1 and plans[0].is_plain):
        return False
    return any(plan.statement.kind in _BACK for plan in plans)


def restore(
    request: Request,
    plans: Sequence[Plan],
    texts: Sequence[bytes],
    startup: SessionState,
    dialect: Dialect,
) -> bool:
    """Have startup parameters set again behind what resets them; False: nothing of that kind.

    Args:
        request: A simple query; it is changed.
        plans: Of its statements.
        texts: The same statements, as they were sent.
        startup: What the client said when it came.
        dialect: How settings are made.
    """
    found: list[tuple[int, list[bytes]]] = []
    for place, plan in enumerate(plans):
        if plan.statement.kind in _BACK:
            ours = _again(texts[place], startup, dialect)
            if ours:
                found.append((place, ours))
    sql = request.executions[0].sql
    if not found or sql is None:
        return False
    ends = [stop for _, stop in scan(sql).statements]
    pieces: list[bytes] = []
    hidden: list[int] = []
    start = 0
    for place, ours in found:
        end = ends[place]
        pieces += (sql[start:end], b"\n;", b"\n;".join(ours))
        start = end
        first = place + 1 + len(hidden)
        hidden += range(first, first + len(ours))
    pieces.append(sql[start:])
    request.say_instead(b"".join(pieces), frozenset(hidden))
    return True


def say_default(sql: bytes, startup: SessionState, dialect: Dialect) -> bytes:
    """Say a SET ... TO DEFAULT that is prepared as what it means to its client.

    It may stand in the middle of a batch, where no statement of ours can follow it. Any other text
    comes back as it is: a RESET would be answered by another tag.
    """
    if _SET.match(sql) is None or not isinstance(read_command(sql), Set):
        return sql
    said = _again(sql, startup, dialect)
    return said[0] if said else sql


_SET: Final = re.compile(
    rb"(?:\s+|--[^\n\r]*+|/\*[^*]*+\*+(?:[^/*][^*]*+\*+)*+/)*+set\b", re.IGNORECASE
)
"""A quick look, as every text that is prepared is asked."""


def _again(text: bytes, startup: SessionState, dialect: Dialect) -> list[bytes]:
    """Say what sets again what a statement resets."""
    command = read_command(text)
    if not isinstance(command, Set | Reset):
        return []
    if isinstance(command, Set) and command.value.lower() != "default":
        return []
    reset = [
        Change(Verb.SET, name, value)
        for name, value in startup.settings
        if name == command.name or (command.name is None and name not in ROLES)
    ]
    said = [dialect.apply((change,)) for change in reset]
    if isinstance(command, Set) and command.is_local:
        return [sql.replace(b"SET", b"SET LOCAL", 1) for sql in said]
    return said
