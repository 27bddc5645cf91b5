"""What the store counts is what the interpreter allocates."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from proxy.cache.admission import Worth
from proxy.cache.entry import Context, Contexts
from proxy.cache.key import Key, Shape
from proxy.cache.store import Store
from proxy.freshness.ledger import Ledger
from proxy.types import Position, Table, Token

SHAPE = Shape(1, 1, "main", "shop", "ann", "ann", "postgres 3.0", "UTF8", ())


class Filled:
    """A store that has been filled under the eyes of tracemalloc."""

    def __init__(self, count: int, size: int, *, answered: bool, contexts: int = 1) -> None:
        ledger = Ledger(Token(1))
        ledger.new_epoch(Token(2), Position(1))
        read_set = ledger.read_set("shop", [Table("shop", 16400)])
        version = ledger.version(read_set)
        worth = Worth(0.0)
        known = Contexts()
        self.store = Store(1 << 40, 1 << 30)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for n in range(count):
            context = self.context(known, ledger, n % contexts)
            text = b"SELECT abalance FROM pgbench_accounts WHERE aid = %09d" % n
            entry = self.store.fill(
                context,
                Key(text),
                (bytes(size),),
                read_set=read_set,
                version=version,
                worth=worth,
                now=0.0,
            )
            assert entry is not None
            if answered:
                request = b"Q\0\0\0\0" + text + b"\0"
                self.store.remember(entry, context.answers, request, (*entry.pieces, b"Z"))
        self.measured = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()

    @staticmethod
    def context(known: Contexts, ledger: Ledger, n: int) -> Context:
        return known.intern(SHAPE._replace(user=f"user {n:09}"), ledger)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("size", [100, 1024, 8192])
@pytest.mark.parametrize("count", [2_000, 5_000, 6_000])  # dicts before and after they grow
def test_the_count_is_within_a_third_of_the_truth_and_never_short(
    count: int, size: int, answered: bool
) -> None:
    filled = Filled(count, size, answered=answered)
    assert filled.measured * 0.97 < filled.store.used < filled.measured * 1.33


def test_a_context_for_every_entry_is_counted_too() -> None:
    filled = Filled(2_000, 100, answered=True, contexts=2_000)
    assert filled.measured * 0.97 < filled.store.used < filled.measured * 1.33
