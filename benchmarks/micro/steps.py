"""The steps: what every statement, every hit and every reply goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from benchmarks.micro.replies import BY_KEY, COMPLETE, DESCRIPTION, READY, row
from proxy.cache.admission import Worth
from proxy.cache.entry import Contexts
from proxy.cache.key import Key, Shape
from proxy.cache.store import Store
from proxy.freshness.ledger import Ledger
from proxy.sql.classify import classify
from proxy.sql.scanner import scan
from proxy.types import Position, Table, Token
from proxy.wire.postgres import frontend
from proxy.wire.postgres.framer import Framer, watch

REPORT: Final = b"""
    WITH recent AS (SELECT o.id, o.customer_id, o.total FROM orders o
                    WHERE o.placed_at > DATE '2024-01-01' AND o.state IN ('paid', 'sent'))
    SELECT c.name, count(*) AS orders, sum(r.total) AS total,
           rank() OVER (ORDER BY sum(r.total) DESC) AS place
    FROM recent r JOIN customers c ON c.id = r.customer_id
    LEFT JOIN regions g ON g.id = c.region_id AND g.name <> 'none'
    GROUP BY c.name HAVING count(*) > 3 ORDER BY total DESC LIMIT 20 OFFSET 40"""
UPDATE: Final = b"UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 4711"

WATCHED: Final = b"TCEIZ"


class Step(NamedTuple):
    """One thing to be timed."""

    name: str
    run: Callable[[], object]


def steps() -> Iterator[Step]:
    """Yield everything that is timed."""
    yield from _framing()
    yield from _hits()
    yield from _reading()


def _framing() -> Iterator[Step]:
    framer = Framer(watch(WATCHED))
    for rows in (1, 100, 300):
        reply = DESCRIPTION + row(100) * rows + COMPLETE + READY
        yield Step(f"framer: a reply with {rows} rows of 100 bytes", partial(framer.feed, reply))


def _hits() -> Iterator[Step]:
    ledger = Ledger(Token(1))
    ledger.new_epoch(Token(2), Position(1))
    read_set = ledger.read_set("shop", [Table("shop", 16400)])
    version = ledger.version(read_set)
    yield Step("ledger: fast_ok", partial(ledger.fast_ok, read_set, version, 1.0))
    shape = Shape(1, 1, "main", "shop", "ann", "ann", "postgres 3.0", "UTF8", ())
    context = Contexts().intern(shape, ledger)
    store = Store(1 << 30, 1 << 20)
    worth = Worth(0.0)
    pieces = (DESCRIPTION + row(100) + COMPLETE + READY,)
    for number in range(10_000):
        key = Key(b"SELECT abalance FROM pgbench_accounts WHERE aid = %d;" % number)
        entry = store.fill(
            context, key, pieces, read_set=read_set, version=version, worth=worth, now=0.0
        )
        assert entry is not None
        store.remember(entry, context.answers, frontend.query(key.statement), entry.pieces)
    request = frontend.query(BY_KEY)
    answers = context.answers

    def find() -> object:
        # As bytes come from a socket: new ones each time, whose hash nobody has taken yet.
        return store.find_answer(answers, bytes(memoryview(request)), 1.0)

    assert find() is not None
    yield Step("cache: a hit among 10,000", find)


def _reading() -> Iterator[Step]:
    for name, sql in (("by key", BY_KEY), ("a report", REPORT), ("an update", UPDATE)):
        yield Step(f"scanner: {name}, {len(sql)} bytes", partial(scan, sql))
        fingerprint = scan(sql).fingerprint
        yield Step(f"classify at first sight: {name}", partial(classify, fingerprint))
