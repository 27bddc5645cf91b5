"""What a session does whatever its engine: one suite, in each engine's words.

What only one protocol has, batches or what a server must be asked, is tested beside this.
"""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import PoolTimeout
from proxy.session.late import Held
from proxy.types import PinReason, Reason, Role, Table
from tests.unit.session.stage import (
    CLOSES,
    GONE,
    LOST,
    Stage,
    answers,
    asks,
    at_once,
    breaks,
    cancelled,
    client,
    elsewhere,
    hangs_up,
    left,
    lends,
    marked,
    refuses,
    released,
    settled,
    told,
    waits,
    writes,
)
from tests.unit.session.words import (
    CANCELLED,
    CONFLICT,
    DUPLICATE,
    MYSQL,
    POSTGRES,
    Words,
)

SELECT = "SELECT a FROM orders"
INSERT = "INSERT INTO orders VALUES (1)"


@pytest.fixture(params=[POSTGRES, MYSQL], ids=["postgres", "mysql"])
def words(request: pytest.FixtureRequest) -> Words:
    found: Words = request.param
    return found


@pytest.fixture
def stage(words: Words) -> Stage:
    return Stage(words=words)


@pytest.fixture
def caching(words: Words) -> Stage:
    return Stage(words=words, cache=True)


@pytest.fixture
def late(words: Words) -> Stage:
    return Stage(words=words, late_begin=True)


@pytest.fixture
def items(stage: Stage) -> Table:
    return stage.catalog.table("items")


def reads(stage: Stage, name: str, value: str, *, sql: str = SELECT, block: bool = False) -> None:
    """A read is served by this server, and its connection given back."""
    query, result = stage.words.query(sql), stage.words.result(value)
    stage >> client(query) << asks(name, query)
    said = stage.words.result(value, block=block)
    stage >> answers(name, result) << told(said) << released(name)


def is_read_anew(stage: Stage, value: str = "2") -> None:
    """What was asked of a replica is asked of the primary instead."""
    result = stage.words.result(value)
    stage << asks("primary", stage.words.query(SELECT))
    stage >> answers("primary", result) << told(result) << released("primary")


def runs(stage: Stage, sql: str, tag: str, *, block: bool = True) -> None:
    """A statement in a transaction, of which nothing follows yet."""
    query, done = stage.words.query(sql), stage.words.done(tag, block=block)
    stage >> client(query) << asks("primary", query)
    stage >> answers("primary", done) << told(done)


# Reads leave the primary, and come back to it whenever something is in doubt.


def test_a_read_is_served_by_a_replica(stage: Stage) -> None:
    reads(stage, "replica", "1")
    stage.finish()
    assert stage.reasons == [Reason.REPLICA]


def test_an_answer_is_passed_on_as_it_comes(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    first, rest = words.parts("1")
    stage >> answers("replica", first) << told(first)
    stage >> answers("replica", rest) << told(rest) << released("replica")
    stage.finish()


def test_an_answer_overtaken_by_a_commit_is_thrown_away(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    first, rest = words.parts("1")
    stage >> answers("replica", first)
    stage >> answers("replica", rest) << released("replica")
    is_read_anew(stage)
    stage.finish()
    assert stage.reasons == [Reason.INVALIDATED]


def test_a_commit_elsewhere_leaves_an_answer_alone(stage: Stage, words: Words) -> None:
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << asks("replica", query)
    stage >> elsewhere(lambda s: writes(s, "items"))
    stage >> answers("replica", result) << told(result) << released("replica")


def test_what_comes_after_the_first_word_is_not_judged_again(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, rest = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> answers("replica", rest) << told(rest) << released("replica")


def test_a_table_with_a_commit_on_its_way_is_read_at_the_primary(stage: Stage) -> None:
    stage >> elsewhere(lambda s: s.ledger.mark([s.catalog.table("orders")], s.tokens()))
    reads(stage, "primary", "1")
    assert stage.reasons == [Reason.PENDING]


def test_an_error_on_a_replica_is_not_the_clients(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", words.error(CONFLICT)) << released("replica")
    is_read_anew(stage)
    stage.finish()


def test_a_cancelled_statement_on_a_replica_is_the_clients(stage: Stage, words: Words) -> None:
    query, cancel = words.query(SELECT), words.error(CANCELLED)
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", cancel) << told(cancel) << released("replica")
    stage.finish()


def test_a_replica_lost_before_its_first_word_is_replaced_by_the_primary(
    stage: Stage, words: Words
) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> breaks("replica")
    is_read_anew(stage)
    stage.finish()


def test_a_replica_lost_after_its_first_word_ends_the_session(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, _ = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> breaks("replica")
    assert stage.shell.is_closed


def test_a_read_is_repeated_once_only(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> breaks("replica") << asks("primary", query)
    stage >> breaks("primary")
    assert stage.shell.is_closed


@pytest.fixture
def unsure(stage: Stage) -> Stage:
    """The link to the replica has to be asked for its position."""
    pool = stage.pools[stage.servers["replica"]]
    link = pool.open()
    link.knows_position = False
    pool.idle.append(link)
    return stage


def asks_position(stage: Stage) -> Any:
    query = stage.words.query(SELECT)
    reached = stage.words.query(stage.dialect.reached(100).decode())
    stage >> client(query)
    return asks("replica", reached, query)


def test_a_position_is_asked_in_front_of_a_read(unsure: Stage, words: Words) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.result("1"))
    unsure >> answers("replica", words.result("5")) << told(words.result("5"))
    unsure << released("replica")
    (link,) = unsure.pools[unsure.servers["replica"]].idle
    assert link.verified_at == [100]


def test_a_replica_that_is_behind_is_not_believed(unsure: Stage, words: Words) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.result())
    unsure >> answers("replica", words.result("5")) << released("replica")
    is_read_anew(unsure)
    assert unsure.reasons == [Reason.BEHIND]
    unsure.finish()


def test_a_replica_that_cannot_tell_its_position_is_not_believed(
    unsure: Stage, words: Words
) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.error(CONFLICT) + words.result("5")) << released("replica")
    is_read_anew(unsure)


def test_a_read_that_cannot_have_a_replica_goes_to_the_primary(words: Words) -> None:
    stage = Stage(words=words, size=0)
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << waits("replica")
    stage >> refuses("replica", PoolTimeout("none")) << waits("primary")
    stage >> lends("primary") << asks("primary", query)
    stage >> answers("primary", result) << told(result) << released("primary")


@pytest.mark.parametrize("pin", [PinReason.ADVISORY_LOCK, PinReason.SESSION_POOL])
def test_a_pinned_client_reads_from_a_replica_and_keeps_its_own_connection(
    words: Words, pin: PinReason
) -> None:
    stage = Stage(words=words, pins=[pin])
    stage >> client(words.query("INSERT INTO items VALUES (1)"))
    home = stage.link("primary")
    stage.events.clear()
    stage >> answers("primary", words.done("INSERT 0 1"))
    stage.events.clear()
    reads(stage, "replica", "1")
    stage >> client(words.query("INSERT INTO items VALUES (2)"))
    assert stage.link("primary") is home


def test_a_primary_that_comes_back_serves_who_waited(stage: Stage, words: Words) -> None:
    stage.group.lost(stage.servers["primary"], "gone")
    stage.group.lost(stage.servers["replica"], "gone")
    stage >> client(words.query(SELECT)) << waits("a primary")
    stage.group.met(stage.servers["primary"])
    stage.see(stage.servers["primary"], Role.PRIMARY)
    stage >> elsewhere(lambda s: s.in_line.pop().primary_found())
    is_read_anew(stage)


# What was read is answered from memory, until its tables change.


@pytest.fixture
def filled(caching: Stage) -> Stage:
    reads(caching, "replica", "1")
    return caching


def test_the_same_bytes_are_answered_at_once(filled: Stage, words: Words) -> None:
    filled >> client(words.query(SELECT)) << at_once(words.result("1"))


def test_another_client_is_answered_at_once(filled: Stage, words: Words) -> None:
    other, _ = filled.enter("other")
    filled >> client(words.query(SELECT), session=other) << at_once(words.result("1"))


def test_a_result_is_stale_once_its_table_was_written(filled: Stage, words: Words) -> None:
    filled >> elsewhere(lambda s: writes(s, "orders"))
    reads(filled, "primary", "2")
    filled >> client(words.query(SELECT)) << at_once(words.result("2"))


def test_a_result_is_not_used_while_its_table_is_being_written(filled: Stage, words: Words) -> None:
    table = filled.catalog.table("orders")
    filled >> elsewhere(lambda s: s.marks.append(s.ledger.mark([table], s.tokens())))
    reads(filled, "primary", "1")
    filled >> elsewhere(lambda s: s.ledger.rollback(s.marks.pop()))
    filled >> client(words.query(SELECT)) << at_once(words.result("1"))


def test_a_result_overtaken_by_a_commit_is_not_kept(caching: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, rest = words.parts("1")
    caching >> client(query) << asks("replica", query)
    caching >> answers("replica", first) << told(first)
    caching >> elsewhere(lambda s: writes(s, "orders"))
    caching >> answers("replica", rest) << told(rest) << released("replica")
    caching >> client(query) << asks("primary", query)


def test_in_a_transaction_nothing_is_answered_at_once(filled: Stage, words: Words) -> None:
    runs(filled, "BEGIN", "BEGIN")
    runs(filled, INSERT, "INSERT 0 1")
    filled >> client(words.query(SELECT)) << asks("primary", words.query(SELECT))


# A commit is marked before it is sent, and settled before its client can read of it.


def test_a_write_is_marked_before_it_is_sent(stage: Stage, words: Words, orders: Table) -> None:
    query, done = words.query(INSERT), words.done("INSERT 0 1")
    stage >> client(query) << marked(orders) << asks("primary", query)
    assert stage.ledger.is_pending(orders)
    stage >> answers("primary", done) << told(done) << settled(True) << released("primary")
    assert not stage.ledger.is_pending(orders)
    assert stage.rows == [{orders: 1} if words.counts_rows else {}]
    stage.finish()


def test_a_write_that_failed_changed_nothing(stage: Stage, words: Words, orders: Table) -> None:
    query, failed = words.query(INSERT), words.error(DUPLICATE)
    stage >> client(query) << marked(orders) << asks("primary", query)
    stage >> answers("primary", failed) << told(failed) << settled(False)
    if not words.keeps_failed:
        stage << released("primary")
    stage.finish()


@pytest.mark.parametrize("commit", ["COMMIT", "/* of an ORM */ commit", "  \n\t  COMMIT  "])
def test_a_transaction_is_marked_at_its_commit(
    stage: Stage, words: Words, orders: Table, items: Table, commit: str
) -> None:
    runs(stage, "BEGIN", "BEGIN")
    runs(stage, INSERT, "INSERT 0 1")
    runs(stage, "UPDATE items SET a = 1", "UPDATE 7")
    assert not stage.ledger.unsettled()
    query, done = words.query(commit), words.done("COMMIT")
    stage >> client(query) << marked(orders, items) << asks("primary", query)
    stage >> answers("primary", done) << told(done) << settled(True) << released("primary")
    assert stage.rows == [{orders: 1, items: 7} if words.counts_rows else {}]
    stage.finish()


def test_a_transaction_rolled_back_is_never_marked(stage: Stage) -> None:
    runs(stage, "BEGIN", "BEGIN")
    runs(stage, INSERT, "INSERT 0 1")
    runs(stage, "ROLLBACK", "ROLLBACK", block=False)
    stage << released("primary")
    stage.finish()


def test_a_transaction_that_only_read_is_never_marked(stage: Stage, words: Words) -> None:
    runs(stage, "BEGIN", "BEGIN")
    query, result = words.query(SELECT), words.result("1", block=True)
    stage >> client(query) << asks("primary", query)
    stage >> answers("primary", result) << told(result)
    runs(stage, "COMMIT", "COMMIT", block=False)
    stage << released("primary")
    stage.finish()


def test_a_chained_transaction_begins_with_nothing_written(
    stage: Stage, words: Words, orders: Table, items: Table
) -> None:
    runs(stage, "BEGIN", "BEGIN")
    runs(stage, INSERT, "INSERT 0 1")
    chain, done = words.query("COMMIT AND CHAIN"), words.done("COMMIT", block=True)
    stage >> client(chain) << marked(orders) << asks("primary", chain)
    stage >> answers("primary", done) << told(done) << settled(True)
    runs(stage, "INSERT INTO items VALUES (1)", "INSERT 0 1")
    commit = words.query("COMMIT")
    stage >> client(commit) << marked(items) << asks("primary", commit)


def test_a_connection_lost_under_a_commit_leaves_its_outcome_open(
    stage: Stage, words: Words, orders: Table
) -> None:
    runs(stage, "BEGIN", "BEGIN")
    runs(stage, INSERT, "INSERT 0 1")
    commit = words.query("COMMIT")
    stage >> client(commit) << marked(orders) << asks("primary", commit)
    stage >> breaks("primary") << LOST
    kind, _, said = stage.events.popleft()
    assert kind == "told"
    assert b"08007" in said
    stage << CLOSES
    assert stage.ledger.is_pending(orders)


def test_a_connection_lost_in_a_transaction_says_what_happened(stage: Stage) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> breaks("primary")
    kind, _, said = stage.events.popleft()
    assert kind == "told"
    assert b"was lost" in said
    stage << CLOSES


# A transaction is begun at a server when it must be, and what is read before is read beside it.


def test_a_transaction_that_only_reads_is_never_begun(late: Stage, words: Words) -> None:
    late >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    reads(late, "replica", "1", block=True)
    reads(late, "replica", "1", block=True)
    late >> client(words.query("COMMIT")) << told(words.done("COMMIT"))
    reads(late, "replica", "1")
    assert late.reasons == [Reason.REPLICA] * 3
    assert late.held == [Held.SPARED]


def test_what_comes_after_a_write_is_in_the_transaction(late: Stage, words: Words) -> None:
    late >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    late >> client(words.query("SAVEPOINT a")) << told(words.done("SAVEPOINT", block=True))
    late >> client(words.query(INSERT))
    kind, name, said = late.events.popleft()
    assert (kind, name) == ("asks", "primary")
    assert b"SAVEPOINT" in said
    late >> answers("primary", words.done_together("BEGIN", "SAVEPOINT", block=True))
    late << asks("primary", words.query(INSERT))
    done = words.done("INSERT 0 1", block=True)
    late >> answers("primary", done) << told(done)
    query, result = words.query(SELECT), words.result("1", block=True)
    late >> client(query) << asks("primary", query)
    late >> answers("primary", result) << told(result)
    commit, committed = words.query("COMMIT"), words.done("COMMIT")
    late >> client(commit) << marked(late.catalog.table("orders")) << asks("primary", commit)
    late >> answers("primary", committed) << told(committed) << settled(True)
    late << released("primary")
    assert late.held == [Held.OPENED]


# A client that goes leaves nothing behind.


def test_going_between_two_requests(stage: Stage) -> None:
    stage >> hangs_up() << GONE
    stage >> hangs_up()
    stage.quiet()


def test_going_in_a_transaction(stage: Stage, words: Words) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> hangs_up() << asks("primary", words.query("ROLLBACK"))
    stage >> answers("primary", words.done("ROLLBACK")) << released("primary") << GONE
    stage.finish()


def test_going_in_mid_query(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, _ = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> hangs_up() << cancelled("replica")
    cancel = words.error(CANCELLED)
    stage >> answers("replica", cancel) << told(cancel) << released("replica") << GONE


def test_going_while_it_waits_for_a_connection(words: Words) -> None:
    stage = Stage(words=words, size=0)
    stage >> client(words.query(INSERT)) << waits("primary")
    stage >> hangs_up() << left("primary") << GONE


def test_going_while_it_waits_for_a_primary(stage: Stage, words: Words) -> None:
    stage.group.lost(stage.servers["primary"], "gone")
    stage.group.lost(stage.servers["replica"], "gone")
    stage >> client(words.query(INSERT)) << waits("a primary")
    stage >> hangs_up() << left("a primary") << GONE
