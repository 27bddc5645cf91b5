"""Where the answer to a visitor ends, however it is cut."""

from __future__ import annotations

from proxy.runtime.mysql.answers import Answers
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import STATUS_IN_TRANS
from proxy.wire.mysql.ok import Error, Ok, error_packet, ok_packet
from proxy.wire.status import IDLE, IN_TRANSACTION
from tests.unit.wire.mysql.sides import (
    BINARY_ROW,
    NEW,
    OK,
    ONE_ROW,
    command,
    execute,
    however_cut,
    number,
    prepare,
    prepared_as,
    query,
)

PREPARED = prepare(b"SELECT 1") + execute(1) + command(commands.STMT_CLOSE, number(1))
REFUSED = error_packet(1, Error(1064, b"42000", b"no"))


def heard(asked: bytes, answer: bytes) -> list[int | None]:
    said: list[list[int | None]] = []

    def play(chunks: list[bytes]) -> list[int | None]:
        answers = Answers(NEW)
        answers.ask(asked)
        found = [one for chunk in chunks for one in answers.feed(chunk)]
        said.append(found)
        return found

    however_cut(answer, play)
    return said[0]


def test_an_answer_is_one_for_all_that_was_said_together() -> None:
    assert heard(query(b"SELECT 1"), ONE_ROW) == [IDLE]
    there = command(commands.INIT_DB, b"shop")
    assert heard(there + PREPARED, OK + prepared_as(1) + BINARY_ROW) == [IDLE]


def test_errors_are_told_and_the_rest_is_awaited() -> None:
    assert heard(PREPARED, REFUSED + REFUSED) == [None, None, IDLE]
    assert heard(query(b"SELECT"), REFUSED) == [None, IDLE]


def test_a_transaction_that_is_left_open_shows() -> None:
    begun = ok_packet(1, Ok(status=STATUS_IN_TRANS), NEW)
    assert heard(query(b"BEGIN"), begun) == [IN_TRANSACTION]


def test_a_farewell_is_no_answer() -> None:
    answers = Answers(NEW)
    assert answers.feed(REFUSED) == []
    answers.ask(query(b"SELECT 1"))
    assert answers.feed(ONE_ROW) == [IDLE]
