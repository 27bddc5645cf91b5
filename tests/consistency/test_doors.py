"""What clients send and how they take an error, as far as no server is needed for it."""

from __future__ import annotations

import asyncpg
import psycopg
import pytest

from tests.consistency.door import inline, used
from tests.consistency.doors import is_certain
from tests.consistency.topics import TOPICS


def test_statement_gets_the_values_that_it_asks_for() -> None:
    assert used("SELECT 1", (3, 4)) == ()
    assert used("SELECT $1", (3, 4)) == (3,)
    assert used("SELECT $2, $1", (3, 4)) == (3, 4)


def test_values_are_written_into_a_text() -> None:
    assert inline("SELECT $1, $2, $1", (3, "a,")) == "SELECT 3, 'a,', 3"


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        (asyncpg.SerializationError("40001"), True),
        (asyncpg.ReadOnlySQLTransactionError("25006"), True),
        (psycopg.errors.UniqueViolation(), True),
        (asyncpg.StatementCompletionUnknownError("40003"), False),
        (asyncpg.ConnectionFailureError("08006"), False),
        (psycopg.errors.AdminShutdown(), False),
        (psycopg.OperationalError("server closed the connection unexpectedly"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
    ],
)
def test_only_some_errors_prove_that_nothing_was_written(
    error: BaseException, certain: bool
) -> None:
    assert is_certain(error) is certain


def test_every_statement_asks_for_the_key_if_for_anything() -> None:
    """A server can't tell the type of a parameter that is never used."""
    for topic in TOPICS.values():
        texts = [text for write in topic.writes for text in write.statements]
        texts += [read.statement for read in topic.reads]
        assert all("$1" in text for text in texts if "$2" in text)


def test_every_topic_has_reads_that_repeat_and_a_state_that_asks_for_nothing() -> None:
    for topic in TOPICS.values():
        assert any(not read.varies for read in topic.reads), topic.name
        assert "$" not in topic.state.statement
