"""What a trigger or a function wrote is asked of the server, before the commit is sent."""

from __future__ import annotations

import pytest

from proxy.freshness.tables import EVERY_DATABASE, everything_in, schema_of
from proxy.types import Table
from proxy.wire.postgres import backend
from proxy.wire.postgres.dialect import LOCKED
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    FAILED,
    FLUSH,
    IDLE,
    IN_TRANSACTION,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    breaks,
    client,
    complete,
    error,
    execute,
    hangs_up,
    marked,
    notice,
    parameter,
    parse,
    query,
    released,
    rows,
    says_what_is_set,
    settled,
    told,
)

BEGIN, COMMIT = query("BEGIN"), query("COMMIT")
CALL = query("SELECT f()")
PROBE = query(LOCKED.decode())
BEGUN = complete("BEGIN") + IN_TRANSACTION
COMMITTED = complete("COMMIT") + IDLE
NOT_COMMITTED = complete("ROLLBACK") + IDLE
TAG = complete("SELECT 1")
CALLED = COLUMNS + rows("1")
ROW = CALLED.removesuffix(TAG)
REFUSED = error("23503", "a key that waited")


def locks(*relations: int, definitions: str | None = "0", kind: str = "r") -> bytes:
    """The server's answer to what is locked."""
    pieces = [complete("SET CONSTRAINTS")]
    pieces += [backend.row_description([backend.Column(b"a")] * 2)]
    pieces += [backend.data_row([definitions and definitions.encode(), b"t"]), complete("SELECT 1")]
    pieces += [backend.row_description([backend.Column(b"a")] * 3)]
    pieces += [backend.data_row([b"%d" % oid, kind.encode(), b"p"]) for oid in relations]
    return b"".join(pieces) + complete(f"SELECT {len(relations)}") + IN_TRANSACTION


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def everything() -> tuple[Table, ...]:
    return everything_in("shop"), schema_of(EVERY_DATABASE)


def test_a_commit_waits_for_what_is_locked(stage: Stage, orders: Table) -> None:
    stage >> client(BEGIN) << asks("primary", BEGIN)
    stage >> answers("primary", BEGUN) << told(BEGUN)
    stage >> client(CALL) << asks("primary", CALL)
    stage >> answers("primary", CALLED + IN_TRANSACTION) << told(CALLED + IN_TRANSACTION)
    stage >> client(COMMIT) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(COMMITTED) << settled(True)


def test_what_was_planned_counts_with_what_is_locked(stage: Stage, orders: Table) -> None:
    items = stage.catalog.table("items")
    insert = query("INSERT INTO items VALUES (1)")
    for text, reply in ((BEGIN, BEGUN), (insert, complete("INSERT 0 1") + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    stage >> client(CALL) << asks("primary", CALL)
    stage >> answers("primary", CALLED + IN_TRANSACTION) << told(CALLED + IN_TRANSACTION)
    stage >> client(COMMIT) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders, items)


def test_a_statement_by_itself_runs_in_a_transaction_of_ours(stage: Stage, orders: Table) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED[:9]) << told(CALLED[:9])
    stage >> answers("primary", CALLED[9:]) << told(ROW[9:])
    stage >> answers("primary", IN_TRANSACTION) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(TAG + IDLE) << settled(True)
    stage.events.clear()  # what it has left in its session is asked for
    stage >> answers("primary", says_what_is_set()) << released("primary")
    stage.finish()


def test_a_batch_by_itself_keeps_its_command_tags(stage: Stage, orders: Table) -> None:
    batch = (parse("", "SELECT f()"), bind(""), execute(), SYNC)
    reply = PARSED + BOUND + rows("1")
    stage >> client(*batch) << asks("primary", BEGIN, *batch)
    stage >> answers("primary", BEGUN, reply) << told(reply)
    stage >> answers("primary", IN_TRANSACTION) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(IDLE) << settled(True)


def test_nothing_written_is_nothing_marked(stage: Stage) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION) << told(ROW)
    stage << asks("primary", PROBE)
    nothing = locks().replace(b"\x00\x01t", b"\x00\x01f")
    stage >> answers("primary", nothing) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(TAG + IDLE)


@pytest.mark.parametrize(
    "answer",
    [
        locks(16384, definitions="1"),
        locks(16384, definitions=None),
        locks(1259),
        locks(99999),
        locks(16384, kind="f"),
        locks(),
    ],
    ids=[
        "definitions",
        "nobody counts",
        "system catalog",
        "unknown relation",
        "foreign table",
        "a number alone",
    ],
)
def test_what_is_not_certain_counts_for_everything(
    stage: Stage, orders: Table, everything: tuple[Table, ...], answer: bytes
) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION)
    stage.events.clear()
    stage >> answers("primary", answer) << marked(*everything) << asks("primary", COMMIT)


def test_an_error_is_told_at_once_and_nothing_is_asked(stage: Stage) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, error() + FAILED) << told(error()) << asks("primary", COMMIT)
    stage >> answers("primary", NOT_COMMITTED) << told(IDLE)


def test_a_key_that_waited_for_the_commit_refuses_it(stage: Stage) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION) << told(ROW)
    stage << asks("primary", PROBE)
    stage >> answers("primary", REFUSED + FAILED) << asks("primary", COMMIT)
    stage >> answers("primary", NOT_COMMITTED) << told(REFUSED + IDLE)


def test_a_key_that_waited_refuses_the_clients_own_commit(stage: Stage) -> None:
    for text, reply in ((BEGIN, BEGUN), (CALL, CALLED + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    batch = (parse("", "COMMIT"), bind(""), execute(), SYNC)
    stage >> client(*batch) << asks("primary", PROBE)
    stage >> answers("primary", REFUSED + FAILED) << asks("primary", *batch)
    stage >> answers("primary", PARSED + BOUND + NOT_COMMITTED)
    stage << told(PARSED + BOUND + REFUSED + IDLE)


def test_settings_that_a_refused_commit_takes_back_are_reported(stage: Stage) -> None:
    for text, reply in ((BEGIN, BEGUN), (CALL, CALLED + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    back = parameter("TimeZone", "UTC")
    stage >> client(COMMIT) << asks("primary", PROBE)
    stage >> answers("primary", REFUSED + back + FAILED) << asks("primary", COMMIT)
    stage >> answers("primary", NOT_COMMITTED) << told(REFUSED + back + IDLE)


@pytest.mark.parametrize("is_refused", [False, True])
def test_what_deferred_triggers_say_is_heard(
    stage: Stage, orders: Table, *, is_refused: bool
) -> None:
    for text, reply in ((BEGIN, BEGUN), (CALL, CALLED + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    stage >> client(COMMIT) << asks("primary", PROBE)
    local, back = parameter("TimeZone", "CET"), parameter("TimeZone", "UTC")
    asked = REFUSED + local + FAILED if is_refused else local + locks(orders.oid)
    stage >> answers("primary", notice() + asked)
    if not is_refused:
        stage << marked(orders)
    stage << asks("primary", COMMIT)
    stage >> answers("primary", (NOT_COMMITTED if is_refused else complete("COMMIT") + back + IDLE))
    end = REFUSED + local if is_refused else complete("COMMIT") + local + back
    stage << told(notice() + end + IDLE)


def test_what_deferred_triggers_say_is_part_of_the_statements_answer(
    stage: Stage, orders: Table
) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION) << told(ROW)
    local = parameter("TimeZone", "CET")
    stage << asks("primary", PROBE)
    stage >> answers("primary", notice() + local + locks(orders.oid))
    stage << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(notice() + TAG + local + IDLE)


def test_the_commit_itself_may_fail(stage: Stage, orders: Table) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION)
    stage.events.clear()
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    failed = error("40001") + IDLE
    stage >> answers("primary", failed) << told(failed) << settled(False)


def test_what_is_reported_with_the_commit_is_passed_on(stage: Stage, orders: Table) -> None:
    local, back = parameter("TimeZone", "CET"), parameter("TimeZone", "UTC")
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, local + IN_TRANSACTION)
    stage.events.clear()
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", complete("COMMIT") + notice() + back + IDLE)
    stage << told(TAG + local + notice() + back + IDLE) << settled(True)


def test_a_lost_connection_leaves_the_outcome_open(stage: Stage, orders: Table) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION)
    stage.events.clear()
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> breaks("primary")
    assert [mark.state.value for mark in stage.marks] == ["lost"]


def test_a_connection_lost_before_the_commit_has_committed_nothing(stage: Stage) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION)
    stage.events.clear()
    stage >> breaks("primary")
    assert not stage.marks


def test_a_client_that_goes_takes_its_statement_along(stage: Stage) -> None:
    stage >> client(CALL) << asks("primary", BEGIN, CALL)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION)
    stage.events.clear()
    stage >> hangs_up()
    stage.events.clear()
    stage >> answers("primary", locks(16384)) << asks("primary", query("ROLLBACK"))


@pytest.mark.parametrize(
    "request_of_client",
    [
        (query("SELECT f(); SELECT 1"),),
        (query("SELECT f(); COMMIT"),),
        (parse("", "SELECT f()"), bind(""), execute(), FLUSH),
        (
            parse("", "SELECT f()"),
            bind(""),
            execute(),
            parse("", "BEGIN"),
            bind(""),
            execute(),
            SYNC,
        ),
    ],
    ids=["several", "control", "open batch", "control in a batch"],
)
def test_what_may_hold_more_runs_as_it_is_and_counts_for_everything(
    stage: Stage, everything: tuple[Table, ...], request_of_client: tuple[bytes, ...]
) -> None:
    stage >> client(*request_of_client)
    stage << marked(*everything) << asks("primary", *request_of_client)


IS_TEMPORARY = (
    backend.row_description([backend.Column(b"a")] * 5)
    + backend.data_row([b"f", b"t", b"f", b"f", None])
    + complete("SELECT 1")
    + IDLE
)
MAKES_VIEW = query("CREATE TEMP VIEW tv AS SELECT f()")
READ = query("SELECT a FROM tv")


def make_temporary(stage: Stage, text: bytes, tag: str) -> None:
    stage >> client(text)
    stage.events.clear()
    stage >> answers("primary", complete(tag) + IDLE)
    stage.events.clear()


def test_a_temporary_view_may_run_anything(stage: Stage, orders: Table) -> None:
    make_temporary(stage, MAKES_VIEW, "CREATE VIEW")
    stage >> client(READ) << asks("primary", BEGIN, READ)
    stage >> answers("primary", BEGUN, CALLED, IN_TRANSACTION) << told(ROW)
    stage << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)


@pytest.mark.parametrize("text", ["SELECT reads_tv()", "INSERT INTO orders VALUES (1)"])
def test_so_may_what_reads_it_unseen(stage: Stage, text: str) -> None:
    make_temporary(stage, MAKES_VIEW, "CREATE VIEW")
    stage >> client(query(text)) << asks("primary", BEGIN, query(text))


def test_a_temporary_table_alone_runs_nothing(stage: Stage) -> None:
    make_temporary(stage, query("CREATE TEMP TABLE tt (a int)"), "CREATE TABLE")
    stage >> client(READ) << asks("primary", READ)


def test_a_view_of_a_temporary_table_is_temporary(stage: Stage) -> None:
    make_temporary(stage, query("CREATE TEMP TABLE tt (a int)"), "CREATE TABLE")
    make_temporary(stage, query("CREATE VIEW tv AS SELECT * FROM tt"), "CREATE VIEW")
    stage >> answers("primary", IS_TEMPORARY)
    stage >> client(READ) << asks("primary", BEGIN, READ)


def test_several_reads_of_temporary_views_count_for_every_table(
    stage: Stage, everything: tuple[Table, ...]
) -> None:
    make_temporary(stage, MAKES_VIEW, "CREATE VIEW")
    text = query("SELECT a FROM tv; SELECT a FROM tv")
    stage >> client(text) << marked(everything[0]) << asks("primary", text)


def test_what_a_function_has_made_in_the_same_transaction_counts(
    stage: Stage, orders: Table
) -> None:
    makes = query("SELECT sets()")
    for text, reply in ((BEGIN, BEGUN), (makes, CALLED + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    stage >> client(READ) << asks("primary", READ)
    stage >> answers("primary", CALLED + IN_TRANSACTION) << told(CALLED + IN_TRANSACTION)
    stage >> client(COMMIT) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders)


def test_a_procedure_by_itself_runs_in_a_transaction_of_ours(stage: Stage, orders: Table) -> None:
    call = query("CALL p(1)")
    stage >> client(call) << asks("primary", BEGIN, call)
    stage >> answers("primary", BEGUN, CALLED + IN_TRANSACTION) << told(ROW)
    stage << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
    stage >> answers("primary", COMMITTED) << told(TAG + IDLE) << settled(True)


def test_a_procedure_that_may_commit_runs_in_none_of_ours(
    stage: Stage, everything: tuple[Table, ...]
) -> None:
    call = query("CALL commits()")
    stage >> client(call) << marked(*everything) << asks("primary", call)
    reply = error("22012", "behind a COMMIT in it") + IDLE
    stage >> answers("primary", reply) << told(reply) << settled(True)


def test_a_procedure_in_a_transaction_commits_nothing(stage: Stage, orders: Table) -> None:
    call = query("CALL commits()")
    for text, reply in ((BEGIN, BEGUN), (call, CALLED + IN_TRANSACTION)):
        stage >> client(text) << asks("primary", text)
        stage >> answers("primary", reply) << told(reply)
    stage >> client(COMMIT) << asks("primary", PROBE)
    stage >> answers("primary", locks(orders.oid)) << marked(orders) << asks("primary", COMMIT)
