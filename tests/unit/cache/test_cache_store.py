"""The store answers only what is still good, stays within its room, and leaves no loose ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from proxy.cache.admission import Worth
from proxy.cache.entry import Answer, Context, Contexts, Entry, Queue
from proxy.cache.key import Key, Shape
from proxy.cache.store import MOST_ANSWERS, Store
from proxy.freshness.ledger import Ledger
from proxy.freshness.rules import Rules
from proxy.types import Position, Table, Token

NOW = 1.0
ORDERS = Table("shop", 16400)
ITEMS = Table("shop", 16401)

tokens: Iterator[Token] = map(Token, count(1))


def make_shape(user: str = "ann", settings: tuple[tuple[str, str], ...] = ()) -> Shape:
    return Shape(1, 1, "main", "shop", user, user, "postgres 3.0", "UTF8", settings)


class Cache:
    """A store, a ledger, and the few words that a session says to them."""

    def __init__(self, capacity: int = 1 << 20, max_entry_bytes: int = 1 << 20) -> None:
        self.ledger = Ledger(next(tokens))
        self.ledger.new_epoch(next(tokens), Position(1))
        self.store = Store(capacity, max_entry_bytes)
        self.contexts = Contexts()
        self.context = self.contexts.intern(make_shape(), self.ledger)
        self.worth = Worth(NOW)

    def fill(
        self,
        text: bytes,
        reply: bytes = b"rows",
        *,
        table: Table = ORDERS,
        context: Context | None = None,
        version: int | None = None,
    ) -> Entry | None:
        read_set = self.ledger.read_set("shop", [table])
        return self.store.fill(
            context or self.context,
            Key(text),
            (reply,),
            read_set=read_set,
            version=self.ledger.version(read_set) if version is None else version,
            worth=self.worth,
            now=NOW,
        )

    def keep(self, text: bytes, reply: bytes = b"rows", *, table: Table = ORDERS) -> None:
        entry = self.fill(text, reply, table=table)
        assert entry is not None
        self.store.remember(entry, self.context.answers, b"Q " + text, (reply, b"Z"))

    def ask(self, text: bytes) -> bytes | None:
        answer = self.store.find_answer(self.context.answers, b"Q " + text, NOW)
        return None if answer is None else b"".join(answer.pieces)

    def has(self, text: bytes) -> bool:
        return self.store.find(self.context, Key(text), NOW) is not None

    def write(self, table: Table = ORDERS) -> None:
        self.ledger.commit(self.ledger.mark([table], next(tokens)))


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_a_request_that_came_before_is_answered_at_once(cache: Cache) -> None:
    cache.keep(b"SELECT 1", b"one")
    assert cache.ask(b"SELECT 1") == b"oneZ"
    assert cache.ask(b"SELECT 2") is None


def test_another_form_of_a_request_finds_the_result_by_its_key(cache: Cache) -> None:
    entry = cache.fill(b"SELECT 1", b"one")
    assert entry is not None
    found = cache.store.find(cache.context, Key(b"SELECT 1"), NOW)
    assert found is entry
    prepared: dict[bytes, Answer] = {}
    cache.store.remember(entry, prepared, b"B E S", (b"2", b"one", b"Z"))
    answer = cache.store.find_answer(prepared, b"B E S", NOW)
    assert answer is not None
    assert answer.pieces == (b"2", b"one", b"Z")


@pytest.mark.parametrize(
    "other",
    [
        Key(b"SELECT 2"),
        Key(b"SELECT 1", types=b"\0\0\0\x17"),
        Key(b"SELECT 1", parameters=b"7"),
        Key(b"SELECT 1", limit=1),
    ],
)
def test_what_was_asked_differently_is_another_result(cache: Cache, other: Key) -> None:
    cache.fill(b"SELECT 1")
    assert cache.store.find(cache.context, other, NOW) is None


def test_users_do_not_share_results(cache: Cache) -> None:
    other = cache.contexts.intern(make_shape(user="bob"), cache.ledger)
    cache.fill(b"SELECT 1")
    assert cache.store.find(other, Key(b"SELECT 1"), NOW) is None


def test_a_commit_ends_exactly_the_results_that_read_its_table(cache: Cache) -> None:
    cache.keep(b"orders", table=ORDERS)
    cache.keep(b"items", table=ITEMS)
    cache.write(ORDERS)
    assert cache.ask(b"orders") is None
    assert cache.ask(b"items") == b"rowsZ"


def test_a_stale_result_is_dropped_when_it_is_found(cache: Cache) -> None:
    cache.keep(b"orders")
    cache.write()
    assert cache.ask(b"orders") is None
    assert (len(cache.store), cache.store.used, cache.store.stale) == (0, 0, 1)
    assert cache.context.answers == {}
    assert cache.store.fills == 1


def test_a_result_found_stale_by_its_key_takes_its_answers_along(cache: Cache) -> None:
    cache.keep(b"orders")
    cache.write()
    assert not cache.has(b"orders")
    assert cache.context.answers == {}


def test_a_result_waits_out_a_commit_that_is_rolled_back(cache: Cache) -> None:
    cache.keep(b"orders")
    mark = cache.ledger.mark([ORDERS], next(tokens))
    assert cache.ask(b"orders") is None
    assert not cache.has(b"orders")
    cache.ledger.rollback(mark)
    assert cache.ask(b"orders") == b"rowsZ"


def test_a_result_overtaken_by_a_commit_is_not_stored(cache: Cache) -> None:
    version = cache.ledger.version(cache.ledger.read_set("shop", [ORDERS]))
    cache.write()
    assert cache.fill(b"orders", version=version) is None
    assert not cache.has(b"orders")
    assert (cache.store.overtaken, cache.worth.left) == (1, 1)


def test_with_the_fill_check_off_an_overtaken_result_is_served() -> None:
    cache = Cache()
    cache.ledger = Ledger(next(tokens), Rules(fill=False))
    cache.context = Contexts().intern(make_shape(), cache.ledger)
    version = cache.ledger.version(cache.ledger.read_set("shop", [ORDERS]))
    cache.write()
    assert cache.fill(b"orders", version=version) is not None
    assert cache.has(b"orders")


def test_a_second_result_takes_the_place_of_the_first(cache: Cache) -> None:
    cache.keep(b"orders", b"old")
    cache.keep(b"orders", b"new")
    assert cache.ask(b"orders") == b"newZ"
    assert len(cache.store) == 1


def test_an_entry_that_is_gone_is_not_remembered(cache: Cache) -> None:
    entry = cache.fill(b"orders")
    assert entry is not None
    cache.store.drop(entry)
    cache.store.remember(entry, cache.context.answers, b"Q orders", (b"rows",))
    assert cache.context.answers == {}
    assert cache.store.used == 0


def test_dropping_twice_is_dropping_once(cache: Cache) -> None:
    cache.keep(b"other")
    entry = cache.fill(b"orders")
    assert entry is not None
    before = cache.worth.left
    cache.store.drop(entry)
    cache.store.drop(entry)
    assert len(cache.store) == 1
    assert cache.worth.left == before + 1


def test_hits_are_counted_for_the_statement(cache: Cache) -> None:
    cache.keep(b"orders")
    for _ in range(3):
        cache.ask(b"orders")
    assert cache.has(b"orders")
    assert cache.worth.hits == 4


def test_the_latest_forms_of_a_request_are_remembered(cache: Cache) -> None:
    entry = cache.fill(b"orders")
    assert entry is not None
    forms = [b"form %d" % n for n in range(MOST_ANSWERS + 1)]
    for form in forms:
        cache.store.remember(entry, cache.context.answers, form, (b"rows",))
    assert list(cache.context.answers) == forms[1:]
    cache.store.drop(entry)
    assert cache.store.used == 0


def test_a_result_over_the_limit_is_not_stored() -> None:
    cache = Cache(capacity=1 << 20, max_entry_bytes=4096)
    assert cache.fill(b"large", bytes(4096)) is None
    assert cache.fill(b"small", bytes(2048)) is not None


def test_a_result_that_the_small_queue_can_not_hold_is_not_stored() -> None:
    cache = Cache(capacity=1 << 16, max_entry_bytes=1 << 20)
    assert cache.fill(b"large", bytes(1 << 13)) is None
    assert cache.store.used == 0


# Room.


def fill_room(cache: Cache, texts: range) -> None:
    for n in texts:
        cache.keep(b"scan %d" % n, bytes(512))


def test_the_room_is_never_exceeded() -> None:
    cache = Cache(capacity=1 << 16)
    fill_room(cache, range(500))
    assert 0.9 * (1 << 16) < cache.store.used <= 1 << 16
    assert cache.store.evicted == 500 - len(cache.store)
    assert len(cache.context.entries) == len(cache.context.answers) == len(cache.store)


def test_a_scan_does_not_push_out_what_is_asked_for_again_and_again() -> None:
    cache = Cache(capacity=1 << 17)
    hot = [b"hot %d" % n for n in range(20)]
    for text in hot:
        cache.keep(text, bytes(512))
        cache.ask(text)
        cache.ask(text)
    fill_room(cache, range(2000))
    assert all(map(cache.has, hot))


def test_what_was_hot_once_cools_down() -> None:
    cache = Cache(capacity=1 << 16)
    cache.keep(b"hot", bytes(512))
    for _ in range(1000):
        cache.ask(b"hot")
    for n in range(1000):
        text = b"new %d" % n
        cache.keep(text, bytes(512))
        for _ in range(3):
            cache.ask(text)
    assert not cache.has(b"hot")


def test_what_comes_back_soon_goes_past_the_small_queue() -> None:
    cache = Cache(capacity=1 << 16)
    fill_room(cache, range(60))
    assert not cache.has(b"scan 0")
    cache.keep(b"scan 0", bytes(512))
    fill_room(cache, range(100, 300))
    assert cache.has(b"scan 0")


def test_hits_of_a_skewed_workload_beat_first_in_first_out() -> None:
    """A tenth of the keys get most of the requests, and one-time requests come between."""
    random = Random(1)
    cache = Cache(capacity=1 << 18)
    hits = 0
    fifo: dict[bytes, None] = {}
    fifo_hits = 0
    once = count(10**6)
    for _ in range(20_000):
        n = int(random.paretovariate(0.6)) if random.random() < 0.6 else next(once)
        text = b"key %d" % n
        if cache.ask(text) is not None:
            hits += 1
        else:
            cache.keep(text, bytes(512))
        if text in fifo:
            fifo_hits += 1
        else:
            fifo[text] = None
            if len(fifo) > len(cache.store):
                del fifo[next(iter(fifo))]
    assert hits > 1.1 * fifo_hits


def test_ghosts_go_with_the_entries_that_pay_for_their_memory() -> None:
    cache = Cache(capacity=20_000)
    for number in range(100):
        cache.fill(b"text %d" % number, bytes(500))
    assert cache.store._ghosts
    cache.write(ORDERS)
    for number in range(100):
        assert not cache.has(b"text %d" % number)
    assert (len(cache.store), len(cache.store._ghosts_in_order)) == (0, 0)


def test_nothing_is_left_of_a_cleared_store() -> None:
    cache = Cache(capacity=1 << 16)
    fill_room(cache, range(200))
    cache.store.clear()
    assert (cache.store.used, len(cache.store)) == (0, 0)
    assert cache.context.entries == cache.context.answers == {}


class StoreMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, the books are right."""

    texts = st.integers(0, 30).map(lambda n: b"text %d" % n)

    @initialize(capacity=st.sampled_from([8_000, 20_000, 100_000]))
    def begin(self, capacity: int) -> None:
        self.cache = Cache(capacity)
        self.others = [
            self.cache.contexts.intern(make_shape(user), self.cache.ledger)
            for user in ("bob", "eve")
        ]
        self.prepared: dict[bytes, Answer] = {}
        self.current: dict[tuple[Context, bytes], tuple[Table, int]] = {}
        self.writes = dict.fromkeys((ORDERS, ITEMS), 0)

    def context_of(self, which: int) -> Context:
        return (self.cache.context, *self.others)[which]

    @rule(
        text=texts,
        which=st.integers(0, 2),
        size=st.integers(0, 700),
        table=st.sampled_from([ORDERS, ITEMS]),
        forms=st.integers(0, 3),
    )
    def fill(self, text: bytes, which: int, size: int, table: Table, forms: int) -> None:
        context = self.context_of(which)
        entry = self.cache.fill(text, bytes(size), table=table, context=context)
        if entry is None:
            return
        self.current[context, text] = table, self.writes[table]
        for form in range(forms):
            answers = context.answers if form else self.prepared
            request = b"%d %d %s" % (form, which, text)
            self.cache.store.remember(entry, answers, request, (b"1", *entry.pieces))

    @rule(table=st.sampled_from([ORDERS, ITEMS]))
    def write(self, table: Table) -> None:
        self.cache.write(table)
        self.writes[table] += 1

    @rule(text=texts, which=st.integers(0, 2))
    def find(self, text: bytes, which: int) -> None:
        context = self.context_of(which)
        found = self.cache.store.find(context, Key(text), NOW)
        if found is not None:
            table, writes = self.current[context, text]
            assert self.writes[table] == writes

    @rule(text=texts, which=st.integers(0, 2), form=st.integers(0, 2))
    def ask(self, text: bytes, which: int, form: int) -> None:
        context = self.context_of(which)
        answers = context.answers if form else self.prepared
        request = b"%d %d %s" % (form, which, text)
        found = self.cache.store.find_answer(answers, request, NOW)
        if found is not None:
            table, writes = self.current[context, text]
            assert self.writes[table] == writes

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "cache"):
            return
        store = self.cache.store
        contexts = [self.context_of(which) for which in range(3)]
        entries = [entry for context in contexts for entry in context.entries.values()]
        assert len(entries) == len(store)
        queued = [*walk(store._small), *walk(store._main)]
        assert sorted(map(id, entries)) == sorted(map(id, queued))
        answers = [context.answers for context in contexts] + [self.prepared]
        pointed = sum(len(answer) for answer in answers)
        assert pointed == sum(len(entry.answers) for entry in entries)
        in_use = sum(context.cost for context in contexts if context.entries)
        assert store.used == in_use + sum(entry.cost for entry in entries)
        assert store.used <= store.capacity
        assert len(store._ghosts) <= len(store._ghosts_in_order) <= len(store)


def walk(queue: Queue) -> Iterator[Entry]:
    entry, used, number = queue.oldest, 0, 0
    while entry is not None:
        assert entry.queue is queue
        used, number = used + entry.cost, number + 1
        yield entry
        assert entry.newer is None or entry.newer.older is entry
        entry = entry.newer
    assert (queue.used, queue.count) == (used, number)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
