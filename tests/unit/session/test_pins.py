"""What lives in a server's session keeps a client on it; the server says when it has ended."""

from __future__ import annotations

import pytest

from proxy.engines.postgres.questions import QUESTION, settings_question
from proxy.types import PinReason
from proxy.wire.postgres import backend
from tests.unit.session.stage import (
    CLOSES,
    COLUMNS,
    IDLE,
    IN_TRANSACTION,
    Stage,
    aborted,
    answers,
    asks,
    breaks,
    cancelled,
    cancels,
    client,
    complete,
    error,
    notice,
    query,
    released,
    result,
    rows,
    told,
)

LISTEN, UNLISTEN = query("LISTEN news"), query("UNLISTEN news")
LISTENS, UNLISTENS = complete("LISTEN") + IDLE, complete("UNLISTEN") + IDLE
SELECT = query("SELECT a FROM orders")
ASK = query(QUESTION.decode())
ASK_ALL = query((QUESTION + b";" + settings_question([])).decode())


def says(*, listen: bool = False, temporary: bool = False, lock: bool = False) -> bytes:
    values: list[bytes | None]
    values = [b"t" if value else b"f" for value in (listen, temporary, False, lock)]
    values.append(None)
    columns = backend.row_description([backend.Column(b"a")] * 5)
    return columns + backend.data_row(values) + complete("SELECT 1") + IDLE


def news(text: str = "x") -> bytes:
    return backend.notification_response(7, b"news", text.encode())


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def listening(stage: Stage) -> Stage:
    stage >> client(LISTEN) << asks("primary", LISTEN)
    stage >> answers("primary", LISTENS) << told(LISTENS)
    assert stage.session.pins == {PinReason.LISTEN}
    return stage


def test_a_pinned_client_keeps_its_connection(listening: Stage) -> None:
    link = listening.link("primary")
    insert = query("INSERT INTO orders VALUES (1)")
    listening >> client(insert)
    listening.events.clear()
    listening >> answers("primary", complete("INSERT 0 1") + IDLE)
    assert link.user is listening.session


def test_a_notification_is_passed_on_at_once(listening: Stage) -> None:
    listening >> answers("primary", news()) << told(news())


def test_a_notification_waits_for_an_answer_from_elsewhere(listening: Stage) -> None:
    listening >> client(SELECT) << asks("replica", SELECT)
    listening >> answers("replica", COLUMNS) << told(COLUMNS)
    listening >> answers("primary", news())
    rest = rows("1") + IDLE
    listening >> answers("replica", rest) << told(rest) << released("replica") << told(news())


def test_a_client_is_let_go_when_the_server_says_so(listening: Stage) -> None:
    listening >> client(UNLISTEN) << asks("primary", UNLISTEN)
    listening >> answers("primary", UNLISTENS) << told(UNLISTENS) << asks("primary", ASK)
    listening >> answers("primary", says()) << released("primary")
    assert not listening.session.pins
    listening.finish()


def test_a_client_stays_when_the_server_says_so(listening: Stage) -> None:
    listening >> client(UNLISTEN) << asks("primary", UNLISTEN)
    listening >> answers("primary", UNLISTENS) << told(UNLISTENS) << asks("primary", ASK)
    listening >> answers("primary", says(listen=True))
    assert listening.session.pins == {PinReason.LISTEN}


def test_a_server_that_does_not_say_keeps_its_client(listening: Stage) -> None:
    listening >> client(UNLISTEN) << asks("primary", UNLISTEN)
    listening >> answers("primary", UNLISTENS) << told(UNLISTENS) << asks("primary", ASK)
    listening >> answers("primary", error() + IDLE)
    assert PinReason.UNKNOWN in listening.session.pins


def test_a_notification_within_our_own_question_is_passed_on(listening: Stage) -> None:
    listening >> client(UNLISTEN) << asks("primary", UNLISTEN)
    listening >> answers("primary", UNLISTENS) << told(UNLISTENS) << asks("primary", ASK)
    listening >> answers("primary", news() + says(listen=True) + news("y"))
    listening << told(news() + news("y"))


def test_a_notification_after_our_own_question_is_passed_on(listening: Stage) -> None:
    listening >> client(UNLISTEN) << asks("primary", UNLISTEN)
    listening >> answers("primary", UNLISTENS) << told(UNLISTENS) << asks("primary", ASK)
    listening >> answers("primary", says(listen=True))
    listening >> answers("primary", news()) << told(news())


def test_what_a_server_says_in_an_idle_transaction_is_passed_on(stage: Stage) -> None:
    begin = query("BEGIN")
    stage >> client(begin) << asks("primary", begin)
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> answers("primary", notice()) << told(notice())
    goodbye = error("25P03", "idle in transaction", "FATAL")
    stage >> answers("primary", goodbye)
    stage >> breaks("primary") << told(goodbye) << CLOSES


def test_a_server_that_says_why_it_hangs_up_has_said_all(stage: Stage) -> None:
    change = query("UPDATE orders SET id = 1")
    begin = query("BEGIN")
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> client(begin) << asks("primary", begin)
    stage >> answers("primary", reply) << told(reply)
    stage >> client(change) << asks("primary", change)
    goodbye = error("57P01", "terminating connection", "FATAL")
    stage >> answers("primary", goodbye) << told(goodbye)
    stage >> breaks("primary") << CLOSES


def test_a_pinned_connection_that_is_lost_takes_its_client_along(listening: Stage) -> None:
    listening >> breaks("primary")
    kind, _, said = listening.events.popleft()
    assert kind == "told"
    assert backend.read_error(said)[b"C"] == b"08006"
    listening << CLOSES


@pytest.mark.parametrize(
    ("sql", "tag", "pin"),
    [
        ("CREATE TEMP TABLE x (a int)", "CREATE TABLE", PinReason.TEMPORARY_TABLE),
        ("SELECT pg_advisory_lock(1)", "SELECT 1", PinReason.ADVISORY_LOCK),
        ("LOAD 'x'", "LOAD", PinReason.UNKNOWN),
    ],
)
def test_a_statement_pins_by_what_it_leaves_behind(
    stage: Stage, sql: str, tag: str, pin: PinReason
) -> None:
    stage >> client(query(sql))
    stage.events.clear()
    stage >> answers("primary", complete(tag) + IDLE)
    assert pin in stage.session.pins


def test_a_client_with_a_temporary_table_reads_at_its_own_connection(stage: Stage) -> None:
    create = query("CREATE TEMP TABLE x (a int)")
    stage >> client(create) << asks("primary", create)
    stage >> answers("primary", complete("CREATE TABLE") + IDLE)
    stage.events.clear()
    stage >> client(SELECT) << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1"))


def test_a_lock_that_is_released_lets_its_client_go(stage: Stage) -> None:
    lock, unlock = query("SELECT pg_advisory_lock(1)"), query("SELECT pg_advisory_unlock(1)")
    stage >> client(lock) << asks("primary", lock)
    stage >> answers("primary", result("")) << told(result("")) << asks("primary", ASK)
    stage >> answers("primary", says(lock=True))
    stage >> client(unlock) << asks("primary", unlock)
    stage >> answers("primary", result("t")) << told(result("t")) << asks("primary", ASK)
    stage >> answers("primary", says()) << released("primary")
    stage.finish()


def test_a_connection_that_says_nonsense_while_it_is_kept_is_dropped(listening: Stage) -> None:
    listening >> answers("primary", b"A\0\0\0\0") << aborted("primary")
    assert listening.shell.is_closed


def test_a_cancel_that_comes_late_hits_our_question_and_pins_nobody(stage: Stage) -> None:
    call = query("SELECT sets()")
    stage >> client(call)
    stage.events.clear()
    stage >> cancels() << cancelled("primary")
    stage >> answers("primary", result("1"))
    assert stage.events.pop() == asks("primary", ASK_ALL)
    stage.events.clear()
    stage >> answers("primary", error("57014") + IDLE) << asks("primary", ASK_ALL)
    stage >> answers("primary", says()) << released("primary")
    assert not stage.session.pins


def test_a_question_that_is_stopped_by_nobodys_cancel_is_not_asked_again(stage: Stage) -> None:
    stage >> client(query("SELECT sets()"))
    stage.events.clear()
    stage >> answers("primary", result("1"))
    stage.events.clear()
    stage >> answers("primary", error("57014") + IDLE)
    stage.quiet()
    assert stage.session.pins == {PinReason.UNKNOWN}
