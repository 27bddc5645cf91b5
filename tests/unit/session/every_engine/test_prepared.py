"""What a client has prepared is run wherever it is best, and prepared there when it is not yet."""

from __future__ import annotations

from proxy.types import Reason
from tests.unit.session.every_engine.steps import SELECT, hears_error, runs
from tests.unit.session.stage import Stage, answers, asks, client, elsewhere, released, told, writes
from tests.unit.session.words import CONFLICT, Words

LOCKING = "SELECT a FROM orders FOR UPDATE"  # it can't leave the primary
THEIRS = 7


def prepares(stage: Stage, sql: str, number: int = 1) -> None:
    """A client prepares something, at the primary."""
    stage >> client(stage.words.prepare(number, sql))
    is_prepared(stage, "primary", sql)
    stage >> answers("primary", stage.words.prepared(THEIRS))
    kind, _, _ = stage.events.popleft()
    assert kind == "told"
    stage << released("primary")


def is_prepared(stage: Stage, name: str, sql: str) -> None:
    """A server is asked to prepare this, whatever comes behind it."""
    kind, asked, said = stage.events.popleft()
    assert (kind, asked) == ("asks", name)
    assert stage.words.prepares(said, sql)


def runs_elsewhere(stage: Stage, name: str, sql: str, value: str) -> None:
    """It is run on a connection that does not have it yet."""
    words = stage.words
    stage >> client(words.run(1))
    is_prepared(stage, name, sql)
    if words.prepares_ahead:
        stage >> answers(name, words.prepared(THEIRS)) << asks(name, words.run(THEIRS))
        stage >> answers(name, words.ran(value))
    else:
        stage >> answers(name, words.prepared_in_batch, words.ran(value))
    stage << told(words.ran(value)) << released(name)


def runs_again(stage: Stage, name: str, value: str) -> None:
    """It is run on a connection that has it."""
    words = stage.words
    stage >> client(words.run(1))
    kind, asked, said = stage.events.popleft()
    assert (kind, asked) == ("asks", name)
    assert LOCKING.encode() not in said
    stage >> answers(name, words.ran(value)) << told(words.ran(value)) << released(name)


def test_a_read_is_prepared_on_the_replica_that_serves_it(stage: Stage) -> None:
    prepares(stage, SELECT)
    runs_elsewhere(stage, "replica", SELECT, "1")
    assert stage.reasons[-1] is Reason.REPLICA
    stage.finish()


def test_what_a_connection_has_it_is_not_told_again(stage: Stage) -> None:
    prepares(stage, LOCKING)
    runs_again(stage, "primary", "1")
    runs_again(stage, "primary", "2")
    stage.finish()


def test_another_connection_prepares_it_anew(stage: Stage) -> None:
    prepares(stage, LOCKING)
    runs_again(stage, "primary", "1")
    stage.pools[stage.servers["primary"]].idle.clear()
    runs_elsewhere(stage, "primary", LOCKING, "2")


def test_a_read_is_answered_from_memory_until_its_table_is_written(
    caching: Stage, words: Words
) -> None:
    prepares(caching, SELECT)
    runs_elsewhere(caching, "replica", SELECT, "1")
    caching >> client(words.run(1)) << told(words.ran("1"))
    caching >> elsewhere(lambda s: writes(s, "orders"))
    caching >> client(words.run(1))
    kind, name, _ = caching.events.popleft()
    assert (kind, name) == ("asks", "primary")


def test_one_answer_serves_all_who_have_prepared_the_text(caching: Stage, words: Words) -> None:
    prepares(caching, SELECT)
    runs_elsewhere(caching, "replica", SELECT, "1")
    other, _ = caching.enter("other")
    caching >> client(words.prepare(1, SELECT), session=other)
    caching.events.clear()
    caching >> answers("primary", words.prepared(THEIRS))
    caching.events.clear()
    caching >> client(words.run(1), session=other) << told(words.ran("1"), name="other")


def test_what_can_not_be_prepared_is_told(stage: Stage, words: Words) -> None:
    stage >> client(words.prepare(1, SELECT))
    is_prepared(stage, "primary", SELECT)
    stage >> answers("primary", words.error(CONFLICT))
    hears_error(stage, CONFLICT.encode())


def test_in_a_transaction_it_is_run_where_that_is(stage: Stage, words: Words) -> None:
    prepares(stage, SELECT)
    runs(stage, "BEGIN", "BEGIN")
    stage >> client(words.run(1))
    kind, name, _ = stage.events.popleft()
    assert (kind, name) == ("asks", "primary")
