"""A table that was found to be wrong is the primary's alone, until somebody says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from proxy.freshness.ledger import Ledger
from proxy.freshness.rules import Rules
from proxy.freshness.suspicion import Suspicions
from proxy.types import Position, Table, Token

NOW = 100.0
PATIENCE = 12.0
ORDERS = Table("shop", 16400)
ITEMS = Table("shop", 16401)

tokens: Iterator[Token] = map(Token, count(1))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(next(tokens))
    ledger.new_epoch(next(tokens), Position(100))
    return ledger


@pytest.fixture
def suspicions(ledger: Ledger) -> Suspicions:
    return Suspicions(ledger, PATIENCE)


def test_what_is_in_quarantine_is_served_by_nobody_but_the_primary(ledger: Ledger) -> None:
    orders, both = (ledger.read_set("shop", tables) for tables in ([ORDERS], [ORDERS, ITEMS]))
    items = ledger.read_set("shop", [ITEMS])
    assert not ledger.is_quarantined(orders)
    ledger.quarantine([ORDERS], next(tokens))
    for read_set in (orders, both):
        assert ledger.is_quarantined(read_set)
        assert not ledger.fast_ok(read_set, ledger.version(read_set), NOW)
        assert not ledger.is_clean(read_set, NOW)
        assert ledger.stamp(read_set, ledger.version(read_set), NOW) is None
    assert ledger.is_clean(items, NOW)
    assert ledger.quarantined == {ORDERS}


def test_what_was_kept_means_nothing_when_the_table_is_believed_again(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    kept_at = ledger.version(orders)
    ledger.quarantine([ORDERS], next(tokens))
    ledger.believe([ORDERS])
    assert not ledger.fast_ok(orders, kept_at, NOW)
    assert ledger.is_clean(orders, NOW)
    assert ledger.quarantined == frozenset()


def test_no_commit_and_no_epoch_ends_it(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ledger.quarantine([ORDERS], next(tokens))
    ledger.commit(ledger.mark([ORDERS], next(tokens)))
    assert ledger.is_quarantined(orders)
    ledger.new_epoch(next(tokens), Position(200))
    assert ledger.is_quarantined(orders)
    assert not ledger.is_clean(orders, NOW)


def test_it_outlives_the_sweeping_of_tables_that_nobody_reads() -> None:
    ledger = Ledger(next(tokens), sweep_at=4)
    ledger.new_epoch(next(tokens), Position(100))
    ledger.quarantine([ORDERS], next(tokens))
    for oid in range(20):
        ledger.foreign_commit([Table("shop", 17000 + oid)], next(tokens))
    assert ledger.is_quarantined(ledger.read_set("shop", [ORDERS]))


def test_it_counts_where_tests_have_switched_rules_off() -> None:
    ledger = Ledger(next(tokens), Rules(version=False, pending=False, need=False))
    orders = ledger.read_set("shop", [ORDERS])
    assert ledger.is_clean(orders, NOW)
    ledger.quarantine([ORDERS], next(tokens))
    assert not ledger.is_clean(orders, NOW)


def test_a_suspicion_is_a_fact_when_nobody_has_written_past_the_proxy(
    ledger: Ledger, suspicions: Suspicions
) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    suspicions.suspect("a read", orders, next(tokens), NOW)
    assert ledger.is_quarantined(orders), "at once"
    assert suspicions.settle(NOW + PATIENCE - 1) == ([], [])
    ledger.commit(ledger.mark([ORDERS], next(tokens)))  # of ours: it explains nothing
    (fact,), innocent = suspicions.settle(NOW + PATIENCE)
    assert fact.what == "a read"
    assert not innocent
    assert ledger.is_quarantined(orders)
    ledger.foreign_commit([ORDERS], next(tokens))
    assert suspicions.settle(NOW + 100 * PATIENCE) == ([], [])
    assert ledger.is_quarantined(orders), "it is too late for that"


def test_a_write_past_the_proxy_is_an_innocent_reason(
    ledger: Ledger, suspicions: Suspicions
) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ledger.foreign_commit([ORDERS], next(tokens))  # long before
    suspicions.suspect("a read", orders, next(tokens), NOW)
    ledger.foreign_commit([ITEMS], next(tokens))  # of another table
    assert suspicions.settle(NOW + 1) == ([], [])
    ledger.foreign_commit([ORDERS], next(tokens))
    facts, (innocent,) = suspicions.settle(NOW + 2)
    assert not facts
    assert innocent.what == "a read"
    assert ledger.is_clean(orders, NOW)


def test_a_table_stays_while_anything_else_is_said_against_it(
    ledger: Ledger, suspicions: Suspicions
) -> None:
    items, both = (ledger.read_set("shop", tables) for tables in ([ITEMS], [ORDERS, ITEMS]))
    suspicions.suspect("one", both, next(tokens), NOW)
    suspicions.suspect("two", items, next(tokens), NOW + 1)
    ledger.foreign_commit([ORDERS], next(tokens))
    assert [one.what for one in suspicions.settle(NOW + 2)[1]] == ["one"]
    assert ledger.quarantined == {ITEMS}
    assert [one.what for one in suspicions.settle(NOW + 1 + PATIENCE)[0]] == ["two"]
    suspicions.suspect("three", both, next(tokens), NOW + 20)
    ledger.foreign_commit([ORDERS], next(tokens))
    suspicions.settle(NOW + 21)
    assert ledger.quarantined == {ITEMS}, "a fact outlives another's innocence"


def test_without_writes_past_the_proxy_it_is_a_fact_at_once(ledger: Ledger) -> None:
    suspicions = Suspicions(ledger, 0.0)
    orders = ledger.read_set("shop", [ORDERS])
    suspicions.suspect("a read", orders, next(tokens), NOW)
    assert [one.what for one in suspicions.settle(NOW)[0]] == ["a read"]


def test_what_others_have_found_ends_when_they_say_so(
    ledger: Ledger, suspicions: Suspicions
) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ledger.doubt("b", frozenset([ORDERS, ITEMS]))
    ledger.doubt("c", frozenset([ORDERS]))
    suspicions.suspect("one", orders, next(tokens), NOW)
    assert sorted(ledger.doubters) == ["", "b", "c"]
    assert suspicions.drop() == {ORDERS}
    assert ledger.is_quarantined(orders)
    ledger.doubt("b", frozenset([ITEMS]))
    assert ledger.is_quarantined(orders)
    ledger.doubt("c", frozenset())
    assert ledger.is_clean(orders, NOW)
    assert ledger.quarantined == {ITEMS}


def test_an_operator_has_everything_believed_again(ledger: Ledger, suspicions: Suspicions) -> None:
    orders, items = (ledger.read_set("shop", [table]) for table in (ORDERS, ITEMS))
    suspicions.suspect("one", orders, next(tokens), NOW)
    suspicions.settle(NOW + PATIENCE)
    suspicions.suspect("two", items, next(tokens), NOW + PATIENCE)
    assert suspicions.drop() == {ORDERS, ITEMS}
    assert ledger.is_clean(orders, NOW)
    assert ledger.is_clean(items, NOW)
    assert suspicions.settle(NOW + 100) == ([], [])
