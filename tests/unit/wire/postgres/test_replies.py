"""Replies taken apart and put together again: what is kept serves whoever asks the same."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.cutting import Cutter
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import Request
from proxy.wire.requests import Kept

SYNC = frontend.SYNC
IDLE = backend.READY_IDLE
PARSED, BOUND, CLOSED = backend.PARSE_COMPLETE, backend.BIND_COMPLETE, backend.CLOSE_COMPLETE
COLUMNS = backend.row_description([backend.Column(b"a")])
ROWS = backend.data_row([b"1"]) + backend.data_row([None]) + backend.command_complete(b"SELECT 2")
NONE = backend.command_complete(b"SELECT 0")

PARSE = frontend.parse(b"", b"SELECT a")
BIND = frontend.bind(b"", b"")
DESCRIBE = frontend.describe(tags.PORTAL, b"")
EXECUTE = frontend.execute(b"")
CLOSE = frontend.close(tags.PORTAL, b"")


def request(data: bytes) -> Request:
    engine = ClientEngine(Library(lambda: 0, lambda sql: False))
    for earlier in Cutter().feed(frontend.parse(b"s", b"SELECT a") + SYNC + PARSE + SYNC):
        engine.read(earlier)
    (found,) = Cutter().feed(data)
    engine.read(found)
    return found


SIMPLE = frontend.query(b"SELECT a")
SHAPES = {
    "simple": (SIMPLE, COLUMNS + ROWS + IDLE),
    "whole": (PARSE + BIND + DESCRIBE + EXECUTE + SYNC, PARSED + BOUND + COLUMNS + ROWS + IDLE),
    "no columns": (PARSE + BIND + EXECUTE + SYNC, PARSED + BOUND + ROWS + IDLE),
    "bound only": (BIND + EXECUTE + SYNC, BOUND + ROWS + IDLE),
    "closed": (BIND + DESCRIBE + EXECUTE + CLOSE + SYNC, BOUND + COLUMNS + ROWS + CLOSED + IDLE),
    "named": (frontend.bind(b"", b"s") + EXECUTE + SYNC, BOUND + ROWS + IDLE),
    "prepared": (
        frontend.parse(b"t", b"SELECT a") + frontend.bind(b"", b"t") + EXECUTE + SYNC,
        PARSED + BOUND + ROWS + IDLE,
    ),
}


@pytest.mark.parametrize(("asked", "again"), list(product(SHAPES, repeat=2)))
def test_what_one_fetched_serves_another(asked: str, again: str) -> None:
    data, reply = SHAPES[asked]
    kept = request(data).take_apart(reply)
    assert kept == Kept(COLUMNS if COLUMNS in reply else b"", ROWS)
    other, expected = SHAPES[again]
    is_missing = COLUMNS in expected and COLUMNS not in reply
    assert request(other).put_together(kept) == (None if is_missing else expected)


def test_a_result_without_rows_is_a_result() -> None:
    kept = request(PARSE + BIND + EXECUTE + SYNC).take_apart(PARSED + BOUND + NONE + IDLE)
    assert kept == Kept(b"", NONE)


@pytest.mark.parametrize(
    "data",
    [
        PARSE + BIND + EXECUTE + frontend.parse(b"", b"SELECT b") + SYNC,
        frontend.parse(b"t", b"SELECT b") + PARSE + BIND + EXECUTE + SYNC,
        PARSE + BIND + BIND + EXECUTE + SYNC,
        BIND + PARSE + EXECUTE + SYNC,
        PARSE + BIND + EXECUTE + frontend.close(tags.STATEMENT, b"") + SYNC,
        PARSE + frontend.describe(tags.STATEMENT, b"") + BIND + EXECUTE + SYNC,
        DESCRIBE + PARSE + BIND + EXECUTE + SYNC,
        PARSE + BIND + EXECUTE + SIMPLE,
    ],
    ids=["Parse", "other Parse", "two Binds", "order", "Close", "Describe", "too early", "Query"],
)
def test_a_batch_that_does_something_else_is_the_servers(data: bytes) -> None:
    found = request(data)
    assert not found.only_reads
    assert found.put_together(Kept(COLUMNS, ROWS)) is None


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (SIMPLE, ROWS + IDLE),
        (SIMPLE, COLUMNS + ROWS + backend.READY_TRANSACTION),
        (SIMPLE, COLUMNS + IDLE),
        (SIMPLE, IDLE),
        (PARSE + BIND + EXECUTE + SYNC, BOUND + ROWS + IDLE),
        (PARSE + BIND + EXECUTE + SYNC, PARSED + BOUND + COLUMNS + ROWS + IDLE),
        (PARSE + BIND + EXECUTE + SYNC, PARSED + BOUND + backend.EMPTY_QUERY_RESPONSE + IDLE),
        (PARSE + BIND + DESCRIBE + EXECUTE + SYNC, PARSED + BOUND + backend.NO_DATA + ROWS + IDLE),
        (BIND + EXECUTE + DESCRIBE + SYNC, BOUND + ROWS + COLUMNS + IDLE),
        (BIND + EXECUTE + CLOSE + SYNC, BOUND + ROWS + IDLE),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_is_not_kept(data: bytes, reply: bytes) -> None:
    assert request(data).take_apart(reply) is None


VALUES = [[b"1"], [None], [b"", b"x"]]
BODIES = [backend.data_row(values)[5:] for values in VALUES]
MANY = b"".join(map(backend.data_row, VALUES)) + backend.command_complete(b"SELECT 3")


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_taken_out_of_whatever_is_around_them(shape: str) -> None:
    data, reply = SHAPES[shape]
    found = request(data)
    assert found.rows_in(reply.replace(ROWS, MANY)) == BODIES
    assert found.rows_in(reply.replace(ROWS, NONE)) == []
    notice = backend.notice_response(b"NOTICE", b"00000", b"mind")
    assert found.rows_in(notice + reply.replace(ROWS, MANY)) == BODIES


@given(st.integers(1, 200))
def test_a_reply_that_is_cut_off_has_no_rows(cut: int) -> None:
    reply = COLUMNS + MANY + IDLE
    is_between = reply[:-cut] in (b"", COLUMNS, COLUMNS + MANY)
    if cut < len(reply) and not is_between and not _ends_with_a_row(reply[:-cut]):
        with pytest.raises(RemoteProtocolError):
            request(SIMPLE).rows_in(reply[:-cut])


def _ends_with_a_row(reply: bytes) -> bool:
    return any(reply == COLUMNS + b"".join(map(backend.data_row, VALUES[:n])) for n in (1, 2, 3))


@given(st.binary(max_size=60))
def test_garbage_has_rows_or_raises_nothing_else(data: bytes) -> None:
    with suppress(RemoteProtocolError):
        request(SIMPLE).rows_in(data)
