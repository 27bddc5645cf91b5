"""A statement of a client's, as commands that run it in another session, by themselves.

A prepared one is prepared there first; it is spoken of as the last one (MariaDB's -1), which our
own sessions understand from whomever they serve.
"""

from __future__ import annotations

from typing import Final

from proxy.engines.mysql.settings import CHARSETS, SCHEMA, plain
from proxy.session.state import SessionState
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import QUERY_ATTRIBUTES
from proxy.wire.mysql.codec import LARGEST, packet, payload
from proxy.wire.mysql.execute import (
    CURSOR_READ_ONLY,
    LAST_STATEMENT,
    read_execute,
    with_statement,
    without_attributes,
)
from proxy.wire.mysql.prepared import Facts
from proxy.wire.mysql.requests import ARGUMENTS, Request
from proxy.wire.requests import Execution

_UTF8: Final = ("utf8mb4", "utf8mb3", "utf8", "ascii", "")
_FLAGS: Final = 5
_LAST: Final = LAST_STATEMENT.to_bytes(4, "little")


def copy_of(request: Request, execution: Execution, text: bytes, state: SessionState) -> bytes:
    """Say what runs a statement once more; empty: it can't be said.

    Args:
        request: What it came with.
        execution: As it was run.
        text: Its own text.
        state: Of its session: where it is, and what its bytes mean.
    """
    if plain(state.get(CHARSETS[0])) not in _UTF8:
        return b""
    schema = state.get(SCHEMA)
    place = b"" if not schema else _command(commands.INIT_DB, _name(schema))
    if execution.prepared is None:
        return place + _command(commands.QUERY, text)
    executed = _executed(request, execution)
    if not executed:
        return b""
    pieces = [place, _command(commands.STMT_PREPARE, execution.prepared.sql)]
    pieces += [with_statement(ahead, LAST_STATEMENT) for ahead in request.ahead]
    pieces += [executed, _command(commands.STMT_CLOSE, _LAST)]
    return b"".join(pieces)


def _executed(request: Request, execution: Execution) -> bytes:
    """The execution with all its values, whose rows nobody fetches later; empty: none."""
    prepared = execution.prepared
    facts = None if prepared is None else prepared.facts
    is_one = request.command == commands.STMT_EXECUTE and len(request.packets) < LARGEST
    if not is_one or not isinstance(facts, Facts):
        return b""
    body = payload(request.packets)
    if request.capabilities & QUERY_ATTRIBUTES:
        said = read_execute(body, facts.parameters, request.capabilities)
        places = {int.from_bytes(it[ARGUMENTS : ARGUMENTS + 2], "little") for it in request.ahead}
        body = without_attributes(body, said, facts.parameters, said.types, places)
    flags = body[_FLAGS] & ~CURSOR_READ_ONLY
    return with_statement(
        packet(0, body[:_FLAGS] + bytes((flags,)) + body[_FLAGS + 1 :]), LAST_STATEMENT
    )


def _command(command: int, rest: bytes) -> bytes:
    return packet(0, bytes((command,)) + rest)


def _name(schema: str) -> bytes:
    return schema[1:-1].replace("``", "`").encode("utf-8", "surrogateescape")
