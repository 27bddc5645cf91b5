"""REPEATABLE READ: what is read beside a transaction is of one snapshot, or the client hears so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.session.late import Held
from proxy.types import PinReason, Position, Table
from tests.unit.session.every_engine.steps import INSERT, SELECT, hears_error, reads
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    client,
    elsewhere,
    marked,
    released,
    told,
)
from tests.unit.session.words import Words

ITEMS = "SELECT a FROM items"


def versioned(words: Words, *, cache: bool = False, pins: tuple[PinReason, ...] = ()) -> Stage:
    levels = ("read committed", "repeatable read")
    return Stage(
        words=words,
        late_begin=True,
        levels=levels,
        defaults=words.one_snapshot,
        cache=cache,
        pins=pins,
    )


@pytest.fixture
def stage(words: Words) -> Stage:
    return versioned(words)


def begin(stage: Stage) -> None:
    words = stage.words
    stage >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))


def commit(*tables: Table) -> Callable[[Stage], None]:
    """Somebody else writes, and the replica has it at once."""

    def happen(stage: Stage) -> None:
        stage.ledger.commit(stage.ledger.mark(tables, stage.tokens()))
        stage.ledger.position_arrived(stage.ledger.ask_position(), Position(100))

    return elsewhere(happen)


def opens(stage: Stage) -> tuple[object, ...]:
    return asks("primary", stage.words.query(stage.words.opens_snapshot))


def is_refused(stage: Stage) -> None:
    """It has been opened, in another snapshot than that of what was read."""
    words = stage.words
    stage >> answers("primary", words.opened_snapshot()) << asks("primary", words.query("ROLLBACK"))
    stage >> answers("primary", words.done("ROLLBACK"))
    if not stage.session.belongings.pins:
        stage << released("primary")
    hears_error(stage, b"could not serialize access")
    assert stage.held == [Held.REFUSED]


def test_reads_are_served_beside_it(stage: Stage, words: Words) -> None:
    begin(stage)
    reads(stage, "replica", "1", block=True)
    reads(stage, "replica", "2", sql=ITEMS, block=True)
    reads(stage, "replica", "1", block=True)
    stage >> client(words.query("COMMIT")) << told(words.done("COMMIT"))
    assert stage.held == [Held.SPARED]


def test_what_was_not_read_may_be_written_meanwhile(stage: Stage, items: Table) -> None:
    begin(stage)
    reads(stage, "replica", "1", block=True)
    stage >> commit(items)
    reads(stage, "replica", "2", sql=ITEMS, block=True)


def test_what_was_read_may_not(stage: Stage, words: Words, orders: Table) -> None:
    begin(stage)
    reads(stage, "replica", "1", block=True)
    stage >> commit(orders)
    query = words.query(ITEMS)
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", words.result("2")) << released("replica") << opens(stage)
    is_refused(stage)
    stage.finish()


def test_a_write_opens_it_in_the_snapshot_of_what_was_read(
    stage: Stage, words: Words, orders: Table
) -> None:
    begin(stage)
    reads(stage, "replica", "1", sql=ITEMS, block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> answers("primary", words.opened_snapshot()) << asks("primary", words.query(INSERT))
    done = words.done("INSERT 0 1", block=True)
    stage >> answers("primary", done) << told(done)
    end = words.query("COMMIT")
    stage >> client(end) << marked(orders) << asks("primary", end)


def test_a_write_is_refused_where_that_is_gone(stage: Stage, words: Words, items: Table) -> None:
    begin(stage)
    reads(stage, "replica", "1", sql=ITEMS, block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> commit(items)
    is_refused(stage)


def test_what_was_refused_can_be_tried_again(stage: Stage, words: Words, items: Table) -> None:
    """MySQL's servers end what they tell so of, PostgreSQL's await its end."""
    begin(stage)
    reads(stage, "replica", "1", sql=ITEMS, block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> commit(items)
    is_refused(stage)
    if words.grammar.fails_whole:
        stage >> client(words.query("ROLLBACK")) << told(words.done("ROLLBACK"))
    begin(stage)
    reads(stage, "replica", "2", sql=ITEMS, block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> answers("primary", words.opened_snapshot()) << asks("primary", words.query(INSERT))


def test_a_commit_under_way_on_what_was_read_refuses_it_too(
    stage: Stage, words: Words, orders: Table
) -> None:
    """It may be in the snapshot of the primary, or not."""
    begin(stage)
    reads(stage, "replica", "1", block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> elsewhere(lambda stage: stage.ledger.mark([orders], stage.tokens()))
    is_refused(stage)


def test_a_hit_counts_as_a_read(words: Words) -> None:
    stage = versioned(words, cache=True)
    reads(stage, "replica", "1")
    begin(stage)
    assert stage.session.answers is None
    stage >> client(words.query(SELECT)) << told(words.result("1", block=True))
    stage >> commit(stage.catalog.table("orders"))
    stage >> client(words.query(INSERT)) << opens(stage)
    is_refused(stage)


def test_a_hit_must_be_of_the_snapshot(words: Words) -> None:
    stage = versioned(words, cache=True)
    reads(stage, "replica", "1")
    begin(stage)
    reads(stage, "replica", "2", sql=ITEMS, block=True)
    stage >> commit(stage.catalog.table("items"))
    stage >> client(words.query(SELECT)) << opens(stage)
    is_refused(stage)


def test_a_chained_one_has_a_snapshot_of_its_own(stage: Stage, words: Words, orders: Table) -> None:
    begin(stage)
    reads(stage, "replica", "1", block=True)
    chain = words.query("COMMIT AND CHAIN")
    stage >> client(chain) << told(words.done("COMMIT", block=True))
    stage >> commit(orders)
    reads(stage, "replica", "2", block=True)
    stage >> client(words.query("COMMIT")) << told(words.done("COMMIT"))


def test_a_pinned_connection_is_kept_when_it_is_refused(words: Words) -> None:
    stage = versioned(words, pins=(PinReason.SESSION_POOL,))
    begin(stage)
    reads(stage, "replica", "1", block=True)
    stage >> client(words.query(INSERT)) << opens(stage)
    stage >> commit(stage.catalog.table("orders"))
    is_refused(stage)
    assert stage.session.home is not None
