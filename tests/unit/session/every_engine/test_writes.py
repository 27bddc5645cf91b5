"""A commit is marked before it is sent, and settled before its client can read of it."""

from __future__ import annotations

import pytest

from proxy.freshness.tables import EVERY_DATABASE, everything_in, schema_of
from proxy.types import Table
from tests.unit.session.every_engine.steps import INSERT, SELECT, runs
from tests.unit.session.stage import (
    CLOSES,
    LOST,
    Stage,
    answers,
    asks,
    breaks,
    client,
    marked,
    released,
    settled,
    told,
)
from tests.unit.session.words import CANCELLED, DUPLICATE, SYNTAX, Words


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


@pytest.mark.parametrize(("what", "has_changed"), [(SYNTAX, False), (CANCELLED, True)])
def test_a_text_that_no_server_reads_changed_nothing(
    stage: Stage, words: Words, what: str, *, has_changed: bool
) -> None:
    everything = everything_in("shop"), schema_of(EVERY_DATABASE)
    query, failed = words.query("SELEC 1"), words.error(what)
    stage >> client(query) << marked(*everything) << asks("primary", query)
    stage >> answers("primary", failed) << told(failed) << settled(has_changed)


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
