"""Tables that nobody reads are forgotten, and nothing that counts is forgotten with them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import count

import pytest

from proxy.freshness.ledger import Ledger
from proxy.types import Position, Table, Token

NOW = 0.0
LIMIT = 64
KEPT = Table("shop", 1000)
SCRATCH = Table("shop", 2000)

tokens: Iterator[Token] = map(Token, count(1))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(next(tokens), sweep_at=LIMIT)
    ledger.new_epoch(next(tokens), Position(100))
    return ledger


def write_many(ledger: Ledger, position: int) -> None:
    """Write more tables than the ledger keeps, and read none of them."""
    for oid in range(10_000, 10_000 + 2 * LIMIT):
        ledger.commit(ledger.mark([Table("shop", oid)], next(tokens)))
        ledger.position_arrived(ledger.ask_position(), Position(position))


def known(ledger: Ledger) -> int:
    return sum(1 for _ in ledger._tables)


def test_tables_that_nobody_reads_are_bounded(ledger: Ledger) -> None:
    for _ in range(10):
        write_many(ledger, 200)
    assert known(ledger) <= LIMIT


def test_a_table_that_is_read_keeps_its_version(ledger: Ledger) -> None:
    kept = ledger.read_set("shop", [KEPT])
    version = ledger.version(kept)
    write_many(ledger, 200)
    assert ledger.fast_ok(kept, version, NOW)
    ledger.commit(ledger.mark([KEPT], next(tokens)))
    assert not ledger.fast_ok(kept, version, NOW)


def test_a_table_with_a_commit_under_way_is_kept(ledger: Ledger) -> None:
    mark = ledger.mark([SCRATCH], next(tokens))
    write_many(ledger, 200)
    assert not ledger.is_clean(ledger.read_set("shop", [SCRATCH]), NOW)
    ledger.rollback(mark)
    assert ledger.is_clean(ledger.read_set("shop", [SCRATCH]), NOW)


def test_what_a_forgotten_table_needed_is_needed_when_it_comes_back(ledger: Ledger) -> None:
    ledger.commit(ledger.mark([SCRATCH], next(tokens)))
    ledger.position_arrived(ledger.ask_position(), Position(300))
    write_many(ledger, 200)
    need = ledger.need(ledger.read_set("shop", [SCRATCH]))
    assert need is not None
    assert need >= 300


def test_a_table_whose_need_is_unknown_is_kept(ledger: Ledger) -> None:
    ticket = ledger.ask_position()
    ledger.commit(ledger.mark([SCRATCH], next(tokens)))
    for oid in range(10_000, 10_000 + 2 * LIMIT):
        ledger.mark([Table("shop", oid)], next(tokens))
    ledger.position_arrived(ticket, Position(200))
    assert ledger.need(ledger.read_set("shop", [SCRATCH])) is None


def test_a_forgotten_table_comes_back_with_a_version_it_never_had(ledger: Ledger) -> None:
    before = ledger.version(ledger.read_set("shop", [SCRATCH]))
    gc.collect()
    write_many(ledger, 200)
    assert ledger.version(ledger.read_set("shop", [SCRATCH])) != before


def test_a_read_set_that_nobody_holds_is_forgotten(ledger: Ledger) -> None:
    for oid in range(1000):
        ledger.read_set("shop", [Table("shop", 5000 + oid)])
    gc.collect()
    assert len(ledger._tables._read_sets) == 0
