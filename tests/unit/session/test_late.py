"""A transaction is begun at a server when it must be, and what is read before is read beside it."""

from __future__ import annotations

import pytest

from proxy.errors import IdleTransactionTimeout, PoolTimeout
from proxy.types import PinReason
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    FAILED,
    FLUSH,
    IDLE,
    IN_TRANSACTION,
    NO_DATA,
    PARSED,
    SYNC,
    Stage,
    aborted,
    answers,
    asks,
    bind,
    client,
    complete,
    describe,
    describe_statement,
    elsewhere,
    error,
    execute,
    lends,
    parse,
    query,
    refuses,
    released,
    result,
    rows,
    told,
    waits,
)

BEGIN, COMMIT, ROLLBACK = query("BEGIN"), query("COMMIT"), query("ROLLBACK")
SELECT = query("SELECT a FROM orders")
INSERT = query("INSERT INTO orders VALUES (1)")
BEGUN = complete("BEGIN") + IN_TRANSACTION


@pytest.fixture
def stage() -> Stage:
    return Stage(late_begin=True)


def begin(stage: Stage, said: bytes = BEGIN) -> None:
    stage >> client(said) << told(BEGUN)


FAILING = 'ROLLBACK TO SAVEPOINT "tidegate: the transaction had failed before"'


def in_block(whole: bytes) -> bytes:
    return whole.removesuffix(IDLE) + IN_TRANSACTION


def read(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(in_block(result("1"))) << released("replica")


def open_at_primary(stage: Stage, *commands: str) -> None:
    """What a server hears when a transaction is opened."""
    stage << asks("primary", query(";".join(("begin", *commands))))
    done = complete("BEGIN") + b"".join(complete(command.split()[0]) for command in commands)
    stage >> answers("primary", done + IN_TRANSACTION)


@pytest.mark.parametrize(
    "first",
    [
        "INSERT INTO orders VALUES (1)",
        "SELECT a FROM orders FOR UPDATE",
        "SELECT f(a) FROM orders",
        "SELECT now() FROM orders",
        "SELECT a FROM orders WHERE b < 'now'",
        "SET LOCAL work_mem TO '1MB'",
        "SET TRANSACTION READ ONLY",
        "DECLARE c CURSOR FOR SELECT a FROM orders",
        "BEGIN",
        "RELEASE SAVEPOINT nobody",
        "COMMIT; SELECT a FROM orders",
    ],
)
def test_what_is_not_a_plain_read_opens_it(stage: Stage, first: str) -> None:
    begin(stage)
    stage >> client(query(first))
    open_at_primary(stage)
    stage << asks("primary", query(first))


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("begin", "BEGIN"),
        ("START TRANSACTION READ ONLY", "START TRANSACTION"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE", "BEGIN"),
        ("/* a comment */ Begin Work;", "BEGIN"),
    ],
)
def test_begin_with_what_it_says(stage: Stage, said: str, tag: str) -> None:
    stage >> client(query(said)) << told(complete(tag) + IN_TRANSACTION)
    stage >> client(ROLLBACK) << told(complete("ROLLBACK") + IDLE)


@pytest.mark.parametrize(
    "said",
    [
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL READ COMMITTED ISOLATION LEVEL READ COMMITTED",
        "BEGIN READ ONLY,",
        "BEGIN; SELECT a FROM orders",
    ],
)
def test_other_transactions_are_begun_at_once(stage: Stage, said: str) -> None:
    stage >> client(query(said)) << asks("primary", query(said))


def test_options_are_said_when_it_is_opened(stage: Stage) -> None:
    stage >> client(query("BEGIN READ ONLY")) << told(BEGUN)
    stage >> client(INSERT) << asks("primary", query("begin read only"))
    stage >> answers("primary", BEGUN) << asks("primary", INSERT)
    refused = error("25006") + FAILED
    stage >> answers("primary", refused) << told(refused)


def test_a_chained_one_has_the_same_options(stage: Stage) -> None:
    stage >> client(query("BEGIN READ ONLY")) << told(BEGUN)
    chained = complete("COMMIT") + IN_TRANSACTION
    stage >> client(query("COMMIT AND CHAIN")) << told(chained)
    stage >> client(INSERT) << asks("primary", query("begin read only"))


# Errors.


def fail(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", error() + IDLE) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", error() + IDLE) << told(error() + FAILED) << released("primary")


def test_an_error_aborts_it(stage: Stage) -> None:
    begin(stage)
    fail(stage)
    stage >> client(COMMIT) << told(complete("ROLLBACK") + IDLE)


def test_the_server_refuses_what_comes_after_an_error(stage: Stage) -> None:
    begin(stage)
    fail(stage)
    stage >> client(SELECT) << asks("primary", query(f"begin;SELECT;{FAILING}"))
    stage >> answers("primary", complete("BEGIN") + error("3B001") + FAILED)
    stage << asks("primary", SELECT)
    refused = error("25P02") + FAILED
    stage >> answers("primary", refused) << told(refused)
    stage >> client(ROLLBACK) << asks("primary", ROLLBACK)
    ended = complete("ROLLBACK") + IDLE
    stage >> answers("primary", ended) << told(ended) << released("primary")


def test_an_error_that_comes_in_two_pieces(stage: Stage) -> None:
    begin(stage)
    select = query("SELECT a FROM orders WHERE b = 1 / 0")
    stage >> client(select) << asks("replica", select)
    stage >> answers("replica", error())
    stage >> answers("replica", IDLE) << released("replica") << asks("primary", select)
    stage >> answers("primary", error()) << told(error())
    stage >> answers("primary", IDLE) << told(FAILED) << released("primary")


def test_what_can_not_be_served_aborts_it() -> None:
    stage = Stage(late_begin=True, size=0)
    begin(stage)
    stage >> client(INSERT) << waits("primary")
    stage >> refuses("primary", PoolTimeout("none came free"))
    stage << told(error("53300", "none came free")) << told(FAILED)
    stage >> client(ROLLBACK) << told(complete("ROLLBACK") + IDLE)


def test_one_that_can_not_be_opened_has_failed(stage: Stage) -> None:
    """Nothing is run outside of a transaction that was to be run in it."""
    begin(stage)
    stage >> client(INSERT) << asks("primary", query("begin"))
    stage >> answers("primary", error("57014") + IDLE) << aborted("primary")
    stage << told(error("57014")) << told(FAILED)
    stage >> client(ROLLBACK) << told(complete("ROLLBACK") + IDLE)


# Savepoints.


def savepoint(stage: Stage, said: str, tag: str) -> None:
    stage >> client(query(said)) << told(complete(tag) + IN_TRANSACTION)


def test_savepoints_are_made_when_it_is_opened(stage: Stage) -> None:
    begin(stage)
    for said in ("SAVEPOINT a", 'SAVEPOINT "B"', "SAVEPOINT c", "SAVEPOINT c"):
        savepoint(stage, said, "SAVEPOINT")
    savepoint(stage, "RELEASE c", "RELEASE")
    savepoint(stage, "ROLLBACK TO SAVEPOINT C", "ROLLBACK")
    savepoint(stage, "SAVEPOINT d", "SAVEPOINT")
    savepoint(stage, 'ROLLBACK WORK TO "B"', "ROLLBACK")
    stage >> client(INSERT)
    open_at_primary(stage, 'SAVEPOINT "a"', 'SAVEPOINT "B"')
    stage << asks("primary", INSERT)


def test_going_back_to_a_savepoint_mends_an_error(stage: Stage) -> None:
    begin(stage)
    savepoint(stage, "SAVEPOINT a", "SAVEPOINT")
    fail(stage)
    savepoint(stage, "ROLLBACK TO a", "ROLLBACK")
    read(stage)
    stage >> client(COMMIT) << told(complete("COMMIT") + IDLE)


def test_a_failed_one_with_a_savepoint_is_opened_with_it(stage: Stage) -> None:
    begin(stage)
    savepoint(stage, "SAVEPOINT a", "SAVEPOINT")
    fail(stage)
    release = query("RELEASE a")
    stage >> client(release) << asks("primary", query(f'begin;SELECT;SAVEPOINT "a";{FAILING}'))


# The extended protocol.


def batch(sql: str, *between: bytes) -> bytes:
    return parse("", sql) + bind("") + b"".join(between) + execute() + SYNC


def test_a_batch_is_answered_message_by_message(stage: Stage) -> None:
    begun = PARSED + BOUND + NO_DATA + complete("BEGIN") + IN_TRANSACTION
    stage >> client(batch("BEGIN", describe())) << told(begun)
    select = batch("SELECT a FROM orders", describe())
    stage >> client(select) << asks("replica", select)
    got = PARSED + BOUND + COLUMNS + rows("1")
    stage >> answers("replica", got + IDLE) << told(got + IN_TRANSACTION) << released("replica")
    ended = PARSED + BOUND + complete("ROLLBACK") + IDLE
    stage >> client(batch("ROLLBACK")) << told(ended)


def test_what_is_prepared_is_prepared_beside_it(stage: Stage) -> None:
    begin(stage)
    prepare = parse("s", "SELECT a FROM orders") + describe_statement("s") + SYNC
    stage >> client(prepare)
    (event,) = stage.events
    assert event[:2] == ("asks", "primary")
    stage.events.clear()
    prepared = PARSED + NO_DATA
    stage >> answers("primary", prepared + IDLE)
    stage << told(prepared + IN_TRANSACTION) << released("primary")
    stage >> client(SYNC) << told(IN_TRANSACTION)


@pytest.mark.parametrize(
    "said",
    [
        parse("", "SELECT a FROM orders") + bind("", portal="p") + execute("p", 1) + SYNC,
        parse("", "SELECT a FROM orders") + bind("") + execute() + FLUSH,
        parse("", "SELECT a FROM orders WHERE b < $1") + bind("", "now") + execute() + SYNC,
        parse("", "SELECT a FROM orders") + bind("", portal="p") + SYNC,
    ],
    ids=["portal", "flush", "now", "only bound"],
)
def test_what_outlives_its_request_opens_it(stage: Stage, said: bytes) -> None:
    begin(stage)
    stage >> client(said)
    open_at_primary(stage)
    (event,) = stage.events
    assert event[:2] == ("asks", "primary")
    stage.events.clear()


# Around it.


def test_a_failed_transaction_is_told_nothing_from_the_cache() -> None:
    stage = Stage(late_begin=True, cache=True)
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    begin(stage)
    wrong = query("SELECT a FROM items")
    stage >> client(wrong) << asks("replica", wrong)
    stage >> answers("replica", error() + IDLE) << released("replica") << asks("primary", wrong)
    stage >> answers("primary", error() + IDLE) << told(error() + FAILED) << released("primary")
    stage >> client(SELECT)
    stage << asks("primary", query(f"begin;SELECT;{FAILING}"))


def test_idle_in_it_is_idle_in_a_transaction(stage: Stage) -> None:
    begin(stage)
    stage.now += 11
    assert isinstance(stage.session.tick(stage.now), IdleTransactionTimeout)


def test_a_pinned_client_has_its_connection(stage: Stage) -> None:
    stage = Stage(late_begin=True, pins=[PinReason.TEMPORARY_TABLE])
    stage >> client(BEGIN) << asks("primary", BEGIN)


# BEGIN in one batch with what comes behind it.

TOGETHER = parse("", "BEGIN") + bind("") + execute()
ITS_BEGIN = PARSED + BOUND + complete("BEGIN")


def test_a_read_that_comes_with_its_begin_is_served_beside_it(stage: Stage) -> None:
    select = batch("SELECT a FROM orders", describe())
    stage >> client(TOGETHER + select) << told(ITS_BEGIN) << asks("replica", select)
    got = PARSED + BOUND + COLUMNS + rows("1")
    stage >> answers("replica", got + IDLE) << told(got + IN_TRANSACTION) << released("replica")
    stage >> client(COMMIT) << told(complete("COMMIT") + IDLE)


def test_both_may_have_names(stage: Stage) -> None:
    names = parse("b", "BEGIN") + parse("s", "SELECT a FROM orders") + SYNC
    stage >> client(names)
    stage.events.clear()
    stage >> answers("primary", PARSED + PARSED + IDLE)
    stage.events.clear()
    stage >> client(bind("b") + execute() + bind("s") + execute() + SYNC)
    stage << told(BOUND + complete("BEGIN"))
    (event,) = stage.events
    assert event[:2] == ("asks", "replica")
    stage.events.clear()
    stage >> answers("replica", PARSED + BOUND + rows("1") + IDLE)
    stage << told(BOUND + rows("1") + IN_TRANSACTION) << released("replica")


@pytest.mark.parametrize(
    "said",
    [
        TOGETHER + batch("INSERT INTO orders VALUES (1)"),
        TOGETHER + batch("SELECT a FROM orders WHERE b < 'now'"),
        TOGETHER + TOGETHER + batch("SELECT a FROM orders"),
        parse("", "BEGIN ISOLATION LEVEL SERIALIZABLE")
        + bind("")
        + execute()
        + batch("SELECT a FROM orders"),
        parse("", "BEGIN") + bind("", "1") + execute() + batch("SELECT a FROM orders"),
        parse("", "BEGIN") + bind("") + parse("s", "SELECT 1") + execute() + batch("SELECT 1"),
    ],
    ids=["write", "clock", "twice", "serializable", "parameter", "between"],
)
def test_any_other_batch_goes_to_the_primary_whole(stage: Stage, said: bytes) -> None:
    stage >> client(said)
    event = stage.events.popleft()
    while event[0] == "marked":
        event = stage.events.popleft()
    assert event[:2] == ("asks", "primary")
    assert b"BEGIN" in event[2]
    stage.events.clear()


def test_a_read_that_fails_behind_its_begin_aborts_it(stage: Stage) -> None:
    select = batch("SELECT a FROM orders")
    stage >> client(TOGETHER + select) << told(ITS_BEGIN) << asks("replica", select)
    stage >> answers("replica", error() + IDLE) << released("replica") << asks("primary", select)
    stage >> answers("primary", error() + IDLE) << told(error() + FAILED) << released("primary")
    stage >> client(COMMIT) << told(complete("ROLLBACK") + IDLE)


def test_a_read_that_is_none_any_more_when_it_is_sent_opens_it() -> None:
    """A view may have been redefined meanwhile, and what it calls be rolled back with the rest."""
    stage = Stage(late_begin=True, size=0, replicas=0)
    begin(stage)
    stage >> client(SELECT) << waits("primary")
    stage >> elsewhere(lambda s: s.planner.distrust())
    stage >> lends("primary") << asks("primary", query("begin;SELECT"))
    stage >> answers("primary", BEGUN) << asks("primary", SELECT)
