"""OK, EOF and ERR packets: built, read, changed in place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import ok
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    SESSION_TRACK,
    STATUS_AUTOCOMMIT,
    STATUS_IN_TRANS,
    STATUS_SESSION_STATE_CHANGED,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.ok import Error, Ok

numbers = st.integers(0, 2**64 - 1)
shorts = st.integers(0, 0xFFFF)
words = st.binary(max_size=300)
changes = st.lists(
    st.builds(ok.variable_change, words, words)
    | st.builds(ok.gtids_change, words)
    | st.builds(ok.text_change, st.sampled_from((1, 2, 4, 5)), words),
    max_size=4,
)
oks = st.builds(Ok, numbers, numbers, shorts, shorts, words, changes)


def with_flag_of_changes(said: Ok) -> Ok:
    status = said.status & ~STATUS_SESSION_STATE_CHANGED
    said.status = status | (STATUS_SESSION_STATE_CHANGED if said.changes else 0)
    return said


@given(st.integers(0, 255), oks, st.sampled_from((ok.OK, ok.EOF)))
def test_an_ok_is_read_back(sequence: int, said: Ok, first: int) -> None:
    built = ok.ok_packet(sequence, said, SESSION_TRACK, first)
    assert built[3] == sequence
    assert built[4] == first
    assert ok.read_ok(built) == with_flag_of_changes(said)


@given(oks)
def test_who_does_not_track_the_session_is_told_no_changes(said: Ok) -> None:
    got = ok.read_ok(ok.ok_packet(1, said, 0))
    said.changes = []
    assert got == with_flag_of_changes(said)


@given(oks)
def test_rows_end_in_the_form_that_was_agreed(said: Ok) -> None:
    old = ok.end_packet(7, said, 0)
    assert ok.is_eof(old)
    new = ok.end_packet(7, said, DEPRECATE_EOF)
    assert not ok.is_eof(new)
    status = said.status & ~STATUS_SESSION_STATE_CHANGED
    assert ok.read_ok(old) == Ok(status=status, warnings=said.warnings)
    assert ok.read_ok(new).status == status


@given(st.integers(0, 0xFFFF), st.binary(min_size=5, max_size=5), words)
def test_an_error_is_read_back(code: int, sqlstate: bytes, message: bytes) -> None:
    error = Error(code, sqlstate, message)
    assert ok.read_error(ok.error_packet(1, error)) == error


def test_an_error_before_the_capabilities_has_no_sqlstate() -> None:
    error = Error(1040, b"", b"Too many connections")
    assert ok.error_packet(0, error) == packet(0, b"\xff\x10\x04Too many connections")
    assert ok.read_error(ok.error_packet(0, error)) == error


@given(oks, shorts, shorts, st.sampled_from((0, DEPRECATE_EOF | SESSION_TRACK)))
def test_status_flags_change_and_nothing_else(said: Ok, give: int, take: int, agreed: int) -> None:
    before = ok.end_packet(1, said, agreed)
    after = ok.with_status(before, give, take)
    place = ok.status_place(before)
    assert len(after) == len(before)
    assert (after[:place], after[place + 2 :]) == (before[:place], before[place + 2 :])
    status = int.from_bytes(before[place : place + 2], "little")
    assert int.from_bytes(after[place : place + 2], "little") == (status & ~take) | give


@pytest.mark.parametrize(
    "read",
    [ok.read_ok, ok.read_eof, ok.read_error, ok.is_progress, lambda one: ok.with_status(one, 1)],
)
@given(body=st.binary(max_size=40))
def test_garbage_raises_nothing_else(read: Callable[[bytes], object], body: bytes) -> None:
    with suppress(RemoteProtocolError):
        read(packet(1, body))


def test_changes_are_read() -> None:
    variables = b"\x09last_gtid\x060-7-10" + b"\x08sql_mode\x00"
    assert ok.read_variables(variables) == [(b"last_gtid", b"0-7-10"), (b"sql_mode", b"")]
    assert ok.read_text(ok.gtids_change(b"uuid:1-3")) == b"uuid:1-3"
    assert ok.read_text(ok.text_change(ok.SCHEMA, b"shop")) == b"shop"


def test_a_real_commit_is_read() -> None:
    # MariaDB 10.11, with last_gtid, transaction state and characteristics tracked.
    state = b"\0\x11\x09last_gtid\x060-7-10\5\x09\x08________\4\1\0"
    body = b"\0\0\0\x02\x40\0\0\0" + bytes((len(state),)) + state
    said = ok.read_ok(packet(1, body))
    assert said.status == STATUS_AUTOCOMMIT | STATUS_SESSION_STATE_CHANGED
    assert [about for about, _ in said.changes] == [
        ok.SYSTEM_VARIABLE,
        ok.TRANSACTION_STATE,
        ok.TRANSACTION_CHARACTERISTICS,
    ]
    assert said.status & STATUS_IN_TRANS == 0
