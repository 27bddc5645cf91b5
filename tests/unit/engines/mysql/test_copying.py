"""A statement of a client's is run once more by another session, with its values."""

from __future__ import annotations

import pytest

from proxy.engines.mysql.copying import copy_of
from proxy.session.state import UNTOUCHED, SessionState
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import QUERY_ATTRIBUTES
from proxy.wire.mysql.execute import LAST_STATEMENT
from proxy.wire.mysql.prepared import Facts
from tests.unit.wire.mysql.sides import (
    INT,
    NEW,
    Side,
    command,
    execute,
    number,
    prepare,
    query,
    typed,
)

FIVE = b"\5\0\0\0"
SHOP = SessionState.of({"schema": "`sh``op`"}, {})
THERE = command(commands.INIT_DB, b"sh`op")
LAST = number(LAST_STATEMENT)


def copied(side: Side, said: bytes, state: SessionState = UNTOUCHED) -> bytes:
    request = side.request(said)
    (execution,) = request.executions
    return copy_of(request, execution, execution.sql or b"", state)


def prepared(side: Side, sql: bytes = b"SELECT ?") -> None:
    request = side.request(prepare(sql))
    assert request.prepared is not None
    request.prepared.facts = Facts(1, 1)


def test_a_text_is_run_where_it_was() -> None:
    assert copied(Side(), query(b"SELECT 1")) == query(b"SELECT 1")
    assert copied(Side(), query(b"SELECT 1"), SHOP) == THERE + query(b"SELECT 1")


def test_a_prepared_one_is_prepared_and_closed_there() -> None:
    side = Side()
    prepared(side)
    done = command(commands.STMT_CLOSE, LAST)
    said = copied(side, execute(1, typed(INT, FIVE), flags=1), SHOP)
    run = execute(LAST_STATEMENT, typed(INT, FIVE))
    assert said == THERE + prepare(b"SELECT ?") + run + done


def test_values_that_came_ahead_go_along() -> None:
    side = Side()
    prepared(side)
    ahead = command(commands.STMT_SEND_LONG_DATA, number(1) + b"\0\0" + b"long")
    side.requests(ahead)
    said = copied(side, execute(1, typed(b"\xfb\0", b"")))
    assert command(commands.STMT_SEND_LONG_DATA, LAST + b"\0\0" + b"long") in said


def test_attributes_stay_behind() -> None:
    side = Side(client=NEW | QUERY_ATTRIBUTES)
    prepared(side)
    values = b"\2\0\1" + INT + b"\0" + b"\xfd\0\4name" + FIVE + b"\5value"
    said = copied(side, execute(1, values, flags=8))
    assert execute(LAST_STATEMENT, typed(INT, FIVE)) in said


@pytest.mark.parametrize("charset", ["latin1", "gbk"])
def test_what_means_something_else_there_is_not_copied(charset: str) -> None:
    state = SessionState.of({"character_set_client": f"'{charset}'"}, {})
    assert copied(Side(), query(b"SELECT 1"), state) == b""
    state = SessionState.of({"character_set_client": "'utf8mb4'"}, {})
    assert copied(Side(), query(b"SELECT 1"), state)
