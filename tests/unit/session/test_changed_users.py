"""A session that ends while its client stays: COM_CHANGE_USER, and what reads the binary log."""

from __future__ import annotations

import pytest

from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.handshake import ChangeUser, build_change_user
from tests.unit.session.every_engine.steps import runs
from tests.unit.session.stage import (
    ANEW,
    CLOSES,
    GONE,
    Stage,
    answers,
    asks,
    client,
    hangs_up,
    released,
)
from tests.unit.session.words import MYSQL

CHANGE = packet(0, bytes((commands.CHANGE_USER,)) + build_change_user(ChangeUser(user=b"u"), 0))
DUMP = packet(0, bytes((commands.BINLOG_DUMP,)) + bytes(10))


@pytest.fixture
def stage() -> Stage:
    return Stage(words=MYSQL)


def test_a_session_is_undone_before_another_begins(stage: Stage) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> client(CHANGE) << asks("primary", MYSQL.query("ROLLBACK"))
    stage >> answers("primary", MYSQL.done("ROLLBACK")) << released("primary") << GONE << ANEW
    stage >> hangs_up()
    stage.quiet()


def test_nobody_goes_on_before_another_session_has_begun(stage: Stage) -> None:
    stage >> client(CHANGE + MYSQL.query("SELECT 1")) << GONE
    (told_why, closed) = stage.events
    assert b"before it is let in again" in told_why[2]
    assert closed == CLOSES
    stage.events.clear()


def test_what_reads_the_log_begins_with_no_connection(stage: Stage) -> None:
    stage >> client(DUMP) << GONE << ANEW
    stage.quiet()


def test_what_reads_the_log_takes_its_connection_along(stage: Stage) -> None:
    runs(stage, "SET @a = 1", "SET", block=False)
    stage >> client(DUMP) << GONE << (*ANEW, "primary")
    stage.quiet()
