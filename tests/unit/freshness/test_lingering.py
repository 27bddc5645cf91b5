"""Tables that are written all the time: what is announced of their commits, and when it is told."""

from __future__ import annotations

import pytest

from proxy.freshness.fleet import LEASE
from proxy.freshness.frames import Claim, Cleared, Item, Marked, Rode, Wrote
from proxy.freshness.lingering import MOST_KEPT, STAYS
from proxy.freshness.mark import Mark
from proxy.freshness.tables import schema_of
from proxy.types import Epoch, Position, Table, Token
from tests.unit.freshness.two_members import ITEMS, ORDERS, Two

TAKES = 0.004
"""Seconds from a commit's announcement to its end."""


class Writing(Two):
    """One of the two writes."""

    def __init__(self) -> None:
        super().__init__()
        self.position = 20
        self.settle()

    def exchange(self) -> list[Item]:
        """Each hears what the other has to say; tell what was said by who writes."""
        said: list[Item] = []
        for _ in range(2):
            frame, notes = self.says(self.a)
            if frame is not None:
                said += frame.items
                self.b.fleet.hear(frame, self.now)
            for note in notes:
                self.b.fleet.hear_note(note, self.now)
            self.carry(self.b)
        return said

    def begin(self, *tables: Table) -> Mark:
        mark = self.mark(*tables)
        if mark.waiting:
            self.exchange()
        assert not mark.waiting
        return mark

    def end(self, mark: Mark) -> list[Item]:
        self.now += TAKES
        self.position += 1
        self.a.ledger.commit(mark, position=Position(self.position))
        return self.exchange()

    def commit(self, *tables: Table) -> list[Item]:
        return self.end(self.begin(*tables))

    def heat(self, *tables: Table) -> None:
        """Two commits, one right behind the other: the second one's token lingers."""
        self.commit(*tables)
        assert not self.commit(*tables)
        assert not self.b.is_fast(self.now)

    def cool(self) -> list[Item]:
        self.now += 1.01 * STAYS * TAKES
        return self.exchange()


@pytest.fixture
def two() -> Writing:
    return Writing()


def test_commits_on_a_hot_table_are_not_announced(two: Writing) -> None:
    two.heat()
    for _ in range(100):
        mark = two.mark()
        assert not mark.waiting
        assert two.a.fleet.hot.is_riding(mark.token)
        assert not two.b.is_fast(two.now)
        assert not two.end(mark)


def test_all_of_them_are_told_at_once(two: Writing) -> None:
    two.heat()
    for _ in range(5):
        two.commit()
    (item,) = two.cool()
    assert isinstance(item, Rode)
    assert set(item.steps) == {ORDERS}
    assert two.b.is_fast(two.now)
    assert two.b.version == two.a.version
    assert two.b.ledger.need(two.b.read_set) == two.position


def test_their_owner_reads_fast_between_them(two: Writing) -> None:
    two.heat()
    assert two.a.is_fast(two.now)
    mark = two.mark()
    assert not two.a.is_fast(two.now)
    two.end(mark)
    assert two.a.is_fast(two.now)
    assert not two.b.is_fast(two.now)


def test_a_table_that_is_left_alone_for_long_is_not_hot(two: Writing) -> None:
    for _ in range(5):
        (said,) = two.commit()
        assert isinstance(said, Cleared)
        two.now += 1.5 * TAKES


def test_a_token_is_not_cleared_while_a_commit_rides(two: Writing) -> None:
    two.heat()
    rider = two.mark()
    assert not two.cool()
    two.now += LEASE / 4
    assert not two.exchange()
    assert not two.b.is_fast(two.now)
    two.end(rider)
    assert two.b.is_fast(two.now)
    assert two.b.version == two.a.version


def test_nor_while_one_may_have_happened(two: Writing) -> None:
    two.heat()
    rider = two.mark()
    two.a.ledger.lose(rider)
    two.cool()
    assert not two.b.is_fast(two.now)
    two.a.ledger.resolve(rider)
    two.exchange()
    assert two.b.version == two.a.version
    assert two.b.ledger.need(two.b.read_set) is None


def test_a_rider_that_never_was_leaves_nothing(two: Writing) -> None:
    two.heat()
    before = two.a.version
    two.a.ledger.rollback(two.mark())
    assert not two.exchange()
    two.cool()
    assert two.a.version == two.b.version == before


def test_what_is_not_written_any_more_does_not_linger_with_what_is(two: Writing) -> None:
    two.heat(ORDERS, ITEMS)
    items = two.b.ledger.read_set("shop", [ITEMS])
    said: list[Item] = []
    for _ in range(10):
        said += two.commit(ORDERS)
    assert any(isinstance(it, Rode) for it in said)
    assert two.b.ledger.is_clean(items, two.now)


def test_one_that_writes_more_is_announced(two: Writing) -> None:
    two.heat()
    mark = two.mark(ORDERS, ITEMS)
    assert mark.waiting == {"b"}
    frame, _ = two.says(two.a)
    assert frame is not None
    assert frame.items == (Marked(mark.token, frozenset([ORDERS, ITEMS])),)


def test_of_tokens_that_share_a_table_each_commit_counts_once(two: Writing) -> None:
    two.heat(ORDERS, ITEMS)
    for _ in range(3):
        two.commit(ORDERS)
    under_way = two.begin(ITEMS, ORDERS)
    for _ in range(8):
        two.commit(ORDERS)
        two.commit(ITEMS)
        two.commit(ITEMS, ORDERS)
    two.end(under_way)
    two.cool()
    two.cool()
    both = [it.ledger.read_set("shop", [ORDERS, ITEMS]) for it in (two.a, two.b)]
    assert two.a.ledger.version(both[0]) == two.b.ledger.version(both[1])
    assert two.b.is_fast(two.now)


def test_who_missed_something_is_told_of_tokens_that_linger(two: Writing) -> None:
    two.heat()
    rider = two.mark()
    two.b.fleet.broken()
    two.now += 0.2
    two.exchange()
    assert two.b.ledger.is_pending(ORDERS)
    two.end(rider)
    two.cool()
    assert not two.b.ledger.is_pending(ORDERS)
    assert two.b.version == two.a.version


def test_rows_are_told_in_front_of_what_they_were_written_by(two: Writing) -> None:
    two.heat()
    (lingering,) = two.a.fleet.hot.tokens()
    for rows in (3, 2):
        mark = two.mark()
        two.a.fleet.wrote(Wrote(mark.token, ((ORDERS, rows),)))
        assert not two.end(mark)
    other = two.begin(ORDERS, ITEMS)
    two.a.fleet.wrote(told := Wrote(other.token, ((ITEMS, 1),)))
    assert two.end(other)[0] == told
    two.cool()
    wrote = [(mark.token, it) for mark, it in two.b.fleet.written if mark is not None]
    assert wrote == [
        (other.token, told),
        (lingering.token, Wrote(lingering.token, ((ORDERS, 5),))),
    ]


def test_ids_are_told_with_the_tables_of_each_token_they_rode_on(two: Writing) -> None:
    two.heat(ORDERS)
    two.heat(ITEMS)
    orders, items = two.a.fleet.hot.tokens()
    mark = two.mark(ORDERS, ITEMS)
    assert two.a.fleet.hot.is_riding(mark.token)
    both = frozenset([ORDERS, ITEMS])
    two.a.fleet.wrote(Wrote(mark.token, (), (Claim(both, ("a:1",)),)))
    assert not two.end(mark)
    two.cool()
    assert [it for _, it in two.b.fleet.written] == [
        Wrote(orders.token, (), (Claim(frozenset([ORDERS]), ("a:1",)),)),
        Wrote(items.token, (), (Claim(frozenset([ITEMS]), ("a:1",)),)),
    ]


def test_ids_are_told_before_there_are_many_of_them(two: Writing) -> None:
    two.heat()
    tables = frozenset([ORDERS])
    for number in range(MOST_KEPT + 1):
        mark = two.mark()
        two.a.fleet.wrote(Wrote(mark.token, ((ORDERS, 1),), (Claim(tables, (str(number),)),)))
        two.end(mark)
    ((mark_of, wrote),) = two.b.fleet.written
    assert mark_of is not None
    assert mark_of.is_ahead
    assert wrote.rows == ((ORDERS, MOST_KEPT),)
    assert wrote.claims == (Claim(tables, tuple(map(str, range(MOST_KEPT)))),)
    assert two.b.ledger.is_pending(ORDERS)


def test_an_epoch_ends_all_of_them(two: Writing) -> None:
    two.heat()
    rider = two.mark()
    epoch = Epoch(2, Token(9))
    two.a.fleet.begin(epoch, Position(50))
    two.b.fleet.begin(epoch, Position(50))
    assert two.mark().waiting == {"b"}
    two.a.ledger.commit(rider, position=Position(22))
    said = two.exchange()
    assert any(isinstance(it, Cleared) and it.token == rider.token for it in said)
    assert two.b.version == two.a.version


def test_what_may_be_any_table_never_lingers(two: Writing) -> None:
    for _ in range(5):
        (*_, said) = two.commit(ORDERS, schema_of("shop"))
        assert isinstance(said, Cleared)


def test_without_others_nothing_is_kept(two: Writing) -> None:
    two.heat()
    two.a.fleet.expel("b", Token(5), Epoch(1, Token(7)), Position(30))
    two.says(two.a)
    assert not list(two.a.fleet.hot.tokens())
    assert two.a.fleet.flush(two.now) == (None, [])


def test_all_may_be_stopped_at_once(two: Writing) -> None:
    two.heat()
    two.commit()
    two.a.fleet.hot.stop()
    (said,) = two.exchange()
    assert isinstance(said, Rode)
    assert two.b.is_fast(two.now)
