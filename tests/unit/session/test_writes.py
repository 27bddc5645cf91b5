"""A commit is marked before it is sent, and settled before its client can read of it."""

from __future__ import annotations

import pytest

from proxy.sql.statement import Kind
from proxy.types import Table
from proxy.wire.postgres import backend
from proxy.wire.postgres.dialect import LOCKED
from tests.unit.session.stage import (
    BOUND,
    CLOSES,
    FAILED,
    FLUSH,
    IDLE,
    IN_TRANSACTION,
    LOST,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    breaks,
    client,
    close_portal,
    complete,
    describe,
    error,
    execute,
    marked,
    parse,
    query,
    released,
    rows,
    settled,
    told,
)

INSERT = query("INSERT INTO orders VALUES (1)")
BEGIN, COMMIT, ROLLBACK = query("BEGIN"), query("COMMIT"), query("ROLLBACK")
PROBE = query(LOCKED.decode())


def done(tag: str, ready: bytes = IDLE) -> bytes:
    return complete(tag) + ready


INSERTED = done("INSERT 0 1")


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def items(stage: Stage) -> Table:
    return stage.catalog.table("items")


def everything(stage: Stage) -> tuple[object, ...]:
    return marked(*stage.planner.everything("shop"))


def any_table(stage: Stage, *tables: Table) -> tuple[object, ...]:
    return marked(*stage.planner.any_table("shop"), *tables)


def begin(stage: Stage) -> None:
    stage >> client(BEGIN) << asks("primary", BEGIN)
    (
        stage
        >> answers("primary", done("BEGIN", IN_TRANSACTION))
        << told(done("BEGIN", IN_TRANSACTION))
    )


def runs(stage: Stage, sql: str, tag: str, ready: bytes = IN_TRANSACTION) -> None:
    """A statement in a transaction, of which nothing follows yet."""
    stage >> client(query(sql)) << asks("primary", query(sql))
    stage >> answers("primary", done(tag, ready)) << told(done(tag, ready))


def test_a_commit_with_a_farewell_behind_it_is_one(stage: Stage, orders: Table) -> None:
    """The server process ends, and says so in the same breath."""
    begin(stage)
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    stage >> client(COMMIT) << marked(orders) << asks("primary", COMMIT)
    farewell = error("57P01", "terminating connection", "FATAL")
    stage >> answers("primary", done("COMMIT"), farewell) << told(done("COMMIT"))
    stage << settled(True)


def test_what_a_commit_is_compared_with_is_looked_up_once(stage: Stage) -> None:
    begin(stage)
    for _ in range(3):
        runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    assert stage.tallies == 1


def test_what_fails_behind_a_commit_undoes_nothing_of_it(stage: Stage, orders: Table) -> None:
    begin(stage)
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    batch = parse("", "COMMIT") + bind("") + execute() + describe("no such portal") + SYNC
    stage >> client(batch) << marked(orders) << asks("primary", batch)
    answer = PARSED + BOUND + complete("COMMIT") + error("34000") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True)


def test_a_definition_that_fails_may_have_changed_all_the_same(stage: Stage) -> None:
    """What goes in several steps, CONCURRENTLY, is committed step by step."""
    detach = query("ALTER TABLE orders DETACH PARTITION items CONCURRENTLY")
    stage >> client(detach)
    stage.events.clear()
    stage >> answers("primary", error() + IDLE) << told(error() + IDLE) << settled(True)


def test_the_commit_of_a_failed_transaction_is_no_commit(stage: Stage, orders: Table) -> None:
    begin(stage)
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    bad = query("SELECT 1/0")
    stage >> client(bad)
    stage.events.clear()
    stage >> answers("primary", error("22012") + FAILED) << told(error("22012") + FAILED)
    stage >> client(COMMIT) << asks("primary", COMMIT)
    stage >> answers("primary", done("ROLLBACK")) << told(done("ROLLBACK")) << released("primary")
    stage.finish()


def test_a_server_that_says_why_it_ends_a_write_has_said_all(stage: Stage, orders: Table) -> None:
    """What became of the write is open all the same."""
    stage >> client(INSERT) << marked(orders) << asks("primary", INSERT)
    goodbye = error("57P01", "terminating connection", "FATAL")
    stage >> answers("primary", goodbye) << told(goodbye)
    stage >> breaks("primary") << LOST << CLOSES
    assert stage.ledger.is_pending(orders)


def test_a_text_with_control_inside_counts_as_committed_even_when_it_fails(
    stage: Stage, orders: Table, items: Table
) -> None:
    several = query("BEGIN; INSERT INTO orders VALUES (1); COMMIT; INSERT INTO items VALUES (1)")
    stage >> client(several) << marked(orders, items) << asks("primary", several)
    answer = complete("BEGIN") + complete("INSERT 0 1") + complete("COMMIT") + error() + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")


def test_a_write_behind_the_end_of_a_transaction_is_marked(stage: Stage, items: Table) -> None:
    begin(stage)
    both = query("ROLLBACK; INSERT INTO items VALUES (1)")
    stage >> client(both) << marked(items) << asks("primary", both)
    answer = complete("ROLLBACK") + complete("INSERT 0 1") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")
    stage.finish()


def test_several_statements_without_control_fail_together(
    stage: Stage, orders: Table, items: Table
) -> None:
    several = query("INSERT INTO orders VALUES (1); INSERT INTO items VALUES (1)")
    stage >> client(several) << marked(orders, items) << asks("primary", several)
    answer = complete("INSERT 0 1") + error() + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(False) << released("primary")
    stage.finish()


def test_what_is_not_understood_counts_for_everything(stage: Stage) -> None:
    do = query("DO LANGUAGE plperl $$x$$")
    stage >> client(do) << everything(stage) << asks("primary", do)


def test_an_empty_query_changes_nothing(stage: Stage) -> None:
    """Drivers send it to see if the connection is alive."""
    stage >> client(query("")) << asks("primary", query(""))
    answer = backend.EMPTY_QUERY_RESPONSE + IDLE
    stage >> answers("primary", answer) << told(answer) << released("primary")


def test_a_mark_grows_with_its_batch(stage: Stage, orders: Table, items: Table) -> None:
    first = parse("", "INSERT INTO orders VALUES (1)") + bind("") + execute()
    stage >> client(first + FLUSH) << marked(orders) << asks("primary", first + FLUSH)
    stage >> answers("primary", PARSED + BOUND + complete("INSERT 0 1"))
    stage << told(PARSED + BOUND + complete("INSERT 0 1"))
    second = parse("", "INSERT INTO items VALUES (1)") + bind("") + execute() + SYNC
    stage >> client(second) << settled(False) << marked(orders, items) << asks("primary", second)
    answer = PARSED + BOUND + complete("INSERT 0 1") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")
    assert stage.rows == [{orders: 1, items: 1}]
    stage.finish()


def test_rows_are_credited_by_the_tag_of_a_change_only(stage: Stage, orders: Table) -> None:
    """What a query returns beside the change says nothing of rows written."""
    text = "WITH x AS (INSERT INTO orders VALUES (1) RETURNING a) SELECT * FROM x, orders"
    stage >> client(query(text))
    stage.events.clear()
    stage >> answers("primary", rows(*"12345") + IDLE)
    assert stage.rows == [{}]


def test_rows_are_not_credited_to_the_wrong_table(stage: Stage, items: Table) -> None:
    """An empty statement has no command tag, so tags and statements do not match one by one."""
    batch = (
        parse("", "")
        + bind("")
        + execute()
        + parse("", "INSERT INTO orders VALUES (1)")
        + bind("")
        + execute()
        + parse("", "INSERT INTO items SELECT 1 FROM orders")
        + bind("")
        + execute()
        + SYNC
    )
    stage >> client(batch)
    stage.events.clear()
    answer = (
        PARSED
        + BOUND
        + backend.EMPTY_QUERY_RESPONSE
        + PARSED
        + BOUND
        + complete("INSERT 0 1")
        + PARSED
        + BOUND
        + complete("INSERT 0 9")
        + IDLE
    )
    stage >> answers("primary", answer)
    (credited,) = stage.rows
    assert credited.get(items, 9) == 9
    assert credited.get(stage.catalog.table("orders"), 1) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SET search_path TO b; INSERT INTO orders VALUES (1)",
        "SET LOCAL search_path TO b; INSERT INTO orders VALUES (1)",
        "RESET search_path; INSERT INTO orders VALUES (1)",
        "SET ROLE other; INSERT INTO orders VALUES (1)",
        "DISCARD ALL; INSERT INTO orders VALUES (1)",
        "SELECT set_config('search_path', 'b', false); INSERT INTO orders VALUES (1)",
    ],
)
def test_a_write_behind_what_moves_names_counts_for_any_table(
    stage: Stage, orders: Table, sql: str
) -> None:
    stage >> client(query(sql))
    kind, tables = stage.events.popleft()
    assert kind == "marked"
    assert {table.oid for table in stage.planner.any_table("shop")} <= tables


@pytest.mark.parametrize(
    "sql", ["SET LOCAL search_path TO b", "SELECT set_config('search_path', 'b', true)"]
)
def test_a_write_after_a_local_setting_is_of_the_table_that_is_locked(
    stage: Stage, sql: str
) -> None:
    begin(stage)
    stage >> client(query(sql))
    stage.events.clear()
    stage >> answers("primary", done("SET", IN_TRANSACTION)) << told(done("SET", IN_TRANSACTION))
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    stage >> client(COMMIT) << asks("primary", PROBE)


def test_a_local_setting_that_names_do_not_depend_on_changes_nothing(
    stage: Stage, orders: Table
) -> None:
    begin(stage)
    runs(stage, "SET LOCAL statement_timeout = 0", "SET")
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    stage >> client(COMMIT) << marked(orders)


def test_a_write_after_a_text_that_took_settings_back_is_of_what_is_locked(stage: Stage) -> None:
    """In a transaction that the same text began."""
    text = "BEGIN; SET search_path TO b; ROLLBACK; BEGIN"
    tags = [complete(tag) for tag in ("BEGIN", "SET", "ROLLBACK", "BEGIN")]
    stage >> client(query(text)) << asks("primary", query(text))
    reply = b"".join(tags) + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    runs(stage, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    stage >> client(COMMIT) << asks("primary", PROBE)


def test_a_batch_that_moves_names_in_one_part_is_careful_in_the_next(stage: Stage) -> None:
    first = parse("", "SET search_path TO b") + bind("") + execute() + FLUSH
    stage >> client(first) << asks("primary", first)
    second = parse("", "INSERT INTO orders VALUES (1)") + bind("") + execute() + SYNC
    stage >> client(second)
    kind, tables = stage.events.popleft()
    assert kind == "marked"
    assert {table.oid for table in stage.planner.any_table("shop")} <= tables


def test_an_execute_writes_what_was_prepared_and_what_its_arguments_call(
    stage: Stage, orders: Table
) -> None:
    prepare = query("PREPARE ins AS INSERT INTO orders VALUES ($1)")
    stage >> client(prepare) << asks("primary", prepare)
    stage >> answers("primary", done("PREPARE")) << told(done("PREPARE")) << released("primary")
    execute_it = query("EXECUTE ins(1)")
    stage >> client(execute_it) << marked(orders) << asks("primary", execute_it)
    stage >> answers("primary", INSERTED) << told(INSERTED) << settled(True) << released("primary")
    calls = query("EXECUTE ins(f())")
    stage >> client(calls)
    kind, tables = stage.events.popleft()
    assert kind == "marked"
    assert {table.oid for table in stage.planner.any_table("shop")} <= tables


def test_an_execute_while_definitions_are_read_has_them_not_read_again(stage: Stage) -> None:
    """Nobody knows yet what its arguments call; of a plain read nobody does either."""
    prepare = query("PREPARE sel AS SELECT a FROM orders WHERE b = $1")
    stage >> client(prepare) << asks("primary", prepare)
    stage >> answers("primary", done("PREPARE")) << told(done("PREPARE")) << released("primary")
    stage.planner.distrust()
    stage >> client(query("EXECUTE sel(-f(1))"))
    kind, tables = stage.events.popleft()
    assert kind == "marked"
    assert {table.oid for table in stage.planner.any_table("shop")} == tables


def test_of_an_execute_that_nobody_saw_prepared_the_server_is_asked(stage: Stage) -> None:
    request = query("EXECUTE somehow(1)")
    stage >> client(request) << asks("primary", query("BEGIN"), request)


def test_kinds_are_what_the_tests_take_them_for(stage: Stage) -> None:
    kinds = {
        "SET LOCAL search_path TO b": Kind.SET_LOCAL,
        "SET ROLE other": Kind.SET,
        "ROLLBACK TO a": Kind.ROLLBACK_TO,
        "COMMIT AND CHAIN": Kind.COMMIT,
    }
    for sql, kind in kinds.items():
        assert stage.reader.read(sql.encode()).statements[0].kind is kind


PORTAL = parse("", "INSERT INTO orders VALUES (1) RETURNING a") + bind("", portal="c") + SYNC
FETCHED = done("FETCH 1", IN_TRANSACTION)


@pytest.mark.parametrize("sql", ["FETCH ALL FROM c", "MOVE c", "FETCH c"])
def test_what_a_cursor_may_write_counts_when_it_is_fetched(
    stage: Stage, orders: Table, sql: str
) -> None:
    """It is a portal of the protocol, of which nothing was run yet."""
    begin(stage)
    stage >> client(PORTAL)
    stage.events.clear()
    reply = PARSED + BOUND + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    runs(stage, sql, "FETCH 1")
    stage >> client(COMMIT) << marked(orders)


def test_what_a_declared_cursor_may_write_counts(stage: Stage) -> None:
    begin(stage)
    runs(stage, "DECLARE c CURSOR FOR SELECT f()", "DECLARE CURSOR")
    runs(stage, "FETCH c", "FETCH 1")
    stage >> client(COMMIT) << marked(*stage.planner.everything("shop"))


def test_a_cursor_that_reads_counts_for_nothing(stage: Stage) -> None:
    begin(stage)
    runs(stage, "DECLARE c CURSOR FOR SELECT a FROM orders", "DECLARE CURSOR")
    batch = parse("", "SELECT a FROM orders") + bind("", portal="d") + SYNC
    stage >> client(batch)
    stage.events.clear()
    reply = PARSED + BOUND + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    runs(stage, "FETCH c", "FETCH 1")
    runs(stage, "FETCH d", "FETCH 1")
    stage >> client(COMMIT) << asks("primary", COMMIT)


def test_a_fetch_in_the_batch_that_makes_its_cursor_is_marked(stage: Stage, orders: Table) -> None:
    """Even where the cursor is closed in the same batch."""
    batch = (
        parse("", "INSERT INTO orders VALUES (1) RETURNING a")
        + bind("", portal="c")
        + parse("", "FETCH ALL FROM c")
        + bind("")
        + execute()
        + close_portal("c")
        + SYNC
    )
    stage >> client(batch) << marked(orders)


def test_a_fetch_of_either_of_two_cursors_counts_for_everything(stage: Stage) -> None:
    begin(stage)
    for portal in (PORTAL, parse("", "SELECT f()") + bind("", portal="d") + SYNC):
        stage >> client(portal)
        stage.events.clear()
        reply = PARSED + BOUND + IN_TRANSACTION
        stage >> answers("primary", reply) << told(reply)
    stage >> client(query("FETCH c")) << everything(stage) << asks("primary", query("FETCH c"))


def test_a_cursor_is_forgotten_with_its_transaction(stage: Stage) -> None:
    begin(stage)
    stage >> client(PORTAL)
    stage.events.clear()
    reply = PARSED + BOUND + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> client(ROLLBACK) << asks("primary", ROLLBACK)
    stage >> answers("primary", done("ROLLBACK")) << told(done("ROLLBACK")) << released("primary")
    begin(stage)
    runs(stage, "FETCH held", "FETCH 1")
    stage >> client(COMMIT) << asks("primary", COMMIT)
