"""What was read is answered from memory, until its tables change."""

from __future__ import annotations

import pytest

from tests.unit.session.every_engine.steps import INSERT, SELECT, reads, runs
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    at_once,
    client,
    elsewhere,
    released,
    told,
    writes,
)
from tests.unit.session.words import Words


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
