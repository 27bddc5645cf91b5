"""Who is asked alike shares a context; a context that nobody is in is gone."""

from __future__ import annotations

import gc

import pytest

from proxy.cache.admission import Worth
from proxy.cache.entry import Contexts
from proxy.cache.key import Key, Shape
from proxy.cache.store import Store
from proxy.freshness.ledger import Ledger
from proxy.types import Position, Token

SETTINGS = (("TimeZone", "UTC"),)
SHAPE = Shape(1, 1, "main", "shop", "ann", "ann", "postgres 3.0", "UTF8", SETTINGS, (1,))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Token(1))
    ledger.new_epoch(Token(2), Position(1))
    return ledger


def test_sessions_that_are_asked_alike_share_a_context(ledger: Ledger) -> None:
    contexts = Contexts()
    context = contexts.intern(SHAPE, ledger)
    assert contexts.intern(Shape(*SHAPE), ledger) is context


@pytest.mark.parametrize("field", Shape._fields)
def test_whatever_shapes_the_bytes_makes_another_context(ledger: Ledger, field: str) -> None:
    contexts = Contexts()
    context = contexts.intern(SHAPE, ledger)
    old = getattr(SHAPE, field)
    new = old + 1 if isinstance(old, int) else old + old
    assert contexts.intern(SHAPE._replace(**{field: new}), ledger) is not context


def test_a_context_that_no_session_and_no_entry_is_in_is_gone(ledger: Ledger) -> None:
    contexts = Contexts()
    context = contexts.intern(SHAPE, ledger)
    del context
    gc.collect()
    assert len(contexts) == 0


def test_a_context_lives_as_long_as_its_last_entry(ledger: Ledger) -> None:
    contexts, store = Contexts(), Store(1 << 20, 1 << 20)
    context = contexts.intern(SHAPE, ledger)
    read_set = ledger.read_set("shop", [])
    entry = store.fill(
        context,
        Key(b"SELECT 1"),
        (b"one",),
        read_set=read_set,
        version=ledger.version(read_set),
        worth=Worth(0.0),
        now=0.0,
    )
    assert entry is not None
    del context
    gc.collect()
    assert store.find(contexts.intern(SHAPE, ledger), Key(b"SELECT 1"), 0.0) is entry
    gc.disable()  # counting references must do: nothing here may wait for the collector
    try:
        store.drop(entry)
        del entry
        assert len(contexts) == 0
    finally:
        gc.enable()


def test_long_settings_are_charged(ledger: Ledger) -> None:
    contexts = Contexts()
    short = contexts.intern(SHAPE, ledger)
    long = contexts.intern(SHAPE._replace(settings=(("app.note", "x" * 5000),)), ledger)
    assert long.cost > short.cost + 4900
