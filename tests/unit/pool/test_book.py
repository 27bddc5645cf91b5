"""The book of one pool: its rules one by one, and all of them over random histories."""

from __future__ import annotations

from collections import deque
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.pool.book import FLAVOUR_SEARCH, GRACE, Book, Limits

PLAIN, OTHER = object(), object()


class Connection:
    def __init__(self, opened_at: float = 0.0, flavour: object = PLAIN, share: float = 1.0) -> None:
        self.opened_at = opened_at
        self.share = share
        self.idle_since = opened_at
        self.flavour = flavour
        self.retired = False


def book(size: int = 2, **limits: float) -> Book[Connection, str, str]:
    return Book(Limits(size=size, **limits))  # type: ignore[arg-type]


def add(book: Book[Connection, str, str], connection: Connection, now: float = 0.0) -> str | None:
    """A connection that was being opened is there."""
    book.opening += 1
    return book.opened(connection, now)


def test_an_idle_connection_is_lent_and_taken_back() -> None:
    pool = book()
    connection = Connection()
    assert add(pool, connection) is None
    assert pool.try_acquire(PLAIN) is connection
    assert pool.try_acquire(PLAIN) is None
    assert pool.release(connection, 1.0) is None
    assert connection.idle_since == 1.0
    assert pool.try_acquire(PLAIN) is connection


def test_the_one_used_last_is_lent_first() -> None:
    """So that those that are not needed grow old."""
    pool = book(3)
    connections = [Connection() for _ in range(3)]
    for connection in connections:
        add(pool, connection)
    assert pool.try_acquire(PLAIN) is connections[2]


def test_one_that_fits_is_preferred() -> None:
    pool = book(3)
    fits, other = Connection(flavour=OTHER), Connection()
    add(pool, fits)
    add(pool, other)
    assert pool.try_acquire(OTHER) is fits
    assert pool.idle == [other]


def test_the_search_for_one_that_fits_is_short() -> None:
    pool = book(FLAVOUR_SEARCH + 1)
    fits = Connection(flavour=OTHER)
    others = [Connection() for _ in range(FLAVOUR_SEARCH)]
    for connection in [fits, *others]:
        add(pool, connection)
    assert pool.try_acquire(OTHER) is others[-1]
    pool.release(others[-1], 1.0)
    pool.remove(others[0])
    assert pool.try_acquire(OTHER) is fits


def test_one_connection_can_be_asked_for() -> None:
    pool = book(3)
    first, second = Connection(), Connection()
    add(pool, first)
    add(pool, second)
    assert pool.try_acquire(PLAIN, first) is first
    assert pool.try_acquire(PLAIN, first) is second


def test_nobody_overtakes_the_line() -> None:
    pool = book(1)
    connection = Connection()
    add(pool, connection)
    assert pool.try_acquire(PLAIN) is connection
    pool.wait("first", 1.0)
    pool.wait("second", 1.0)
    assert pool.release(connection, 2.0) == "first"
    assert pool.try_acquire(PLAIN) is None
    assert pool.release(connection, 3.0) == "second"


def offered(pool: Book[Connection, str, str], *holders: str) -> list[Connection]:
    """Connections that are lent, and offered one second after the other from 0 on."""
    connections = []
    for when, holder in enumerate(holders):
        add(pool, Connection())
        connection = pool.try_acquire(PLAIN)
        assert connection is not None
        connections.append(connection)
        pool.offer(connection, holder, float(when))
    return connections


def test_what_is_offered_is_asked_for_when_somebody_waits() -> None:
    pool = book(2)
    first, second = offered(pool, "a", "b")
    assert pool.reclaim(9.0) == []
    assert pool.reclaim_in(9.0) is None
    pool.wait("c", 9.0)
    assert pool.reclaim(9.0) == [(first, "a")]
    assert pool.release(first, 9.0) == "c"
    assert pool.reclaim(9.0) == []
    pool.wait("d", 9.0)
    pool.wait("e", 9.0)
    assert pool.reclaim(9.0) == [(second, "b")]
    assert pool.reclaim(9.0) == [], "asked twice"


def test_nothing_is_asked_for_where_one_is_being_opened() -> None:
    pool = book(3)
    offered(pool, "a", "b")
    pool.wait("c", 9.0)
    pool.opening += pool.to_open(9.0)
    assert pool.reclaim(9.0) == []
    pool.open_failed()
    assert pool.reclaim(9.0) != []


def test_an_offer_is_not_taken_up_at_once() -> None:
    pool = book(2)
    offered(pool, "a", "b")
    pool.wait("c", 1.0)
    pool.wait("d", 1.0)
    assert [holder for _, holder in pool.reclaim(1.0)] == ["a"]
    assert pool.reclaim_in(1.0) == pytest.approx(GRACE)
    assert pool.reclaim(1.0 + GRACE / 2) == []
    assert [holder for _, holder in pool.reclaim(1.0 + GRACE)] == ["b"]
    assert pool.reclaim_in(2.0) is None


def test_an_offer_ends_with_the_loan() -> None:
    pool = book(2)
    first, second = offered(pool, "a", "b")
    pool.release(first, 2.0)
    pool.remove(second)
    pool.wait("c", 2.0)
    assert pool.reclaim(9.0) == []


def test_an_offer_that_is_renewed_is_the_youngest() -> None:
    pool = book(2)
    first, second = offered(pool, "a", "b")
    pool.offer(first, "a", 2.0)
    pool.wait("c", 9.0)
    assert pool.reclaim(9.0) == [(second, "b")]


def test_one_who_leaves_is_passed_over() -> None:
    pool = book(1)
    connection = Connection()
    add(pool, connection)
    pool.try_acquire(PLAIN)
    pool.wait("first", 1.0)
    pool.wait("second", 1.0)
    assert pool.leave("first")
    assert not pool.leave("first")
    assert pool.release(connection, 2.0) == "second"


def test_as_many_are_opened_as_wait() -> None:
    pool = book(3)
    assert pool.to_open(0.0) == 0
    pool.wait("first", 0.0)
    pool.wait("second", 0.0)
    assert pool.to_open(0.0) == 2
    pool.opening += 1
    assert pool.to_open(0.0) == 1
    pool.opening += 1
    assert pool.to_open(0.0) == 0
    pool.open_failed()
    assert pool.to_open(0.0) == 1


def test_no_more_are_opened_than_there_is_room_for() -> None:
    pool = book(1)
    pool.wait("first", 0.0)
    pool.wait("second", 0.0)
    assert pool.to_open(0.0) == 1


def test_the_reserve_is_for_those_who_wait_long() -> None:
    pool = book(1, reserve=1, reserve_after=5.0)
    add(pool, Connection())
    pool.try_acquire(PLAIN)
    pool.wait("first", 10.0)
    pool.wait("second", 10.0)
    assert pool.to_open(14.0) == 0
    assert pool.to_open(15.0) == 1


def test_the_reserve_goes_when_nobody_waits() -> None:
    pool = book(1, reserve=1)
    usual, extra = Connection(), Connection()
    add(pool, usual)
    add(pool, extra)
    pool.try_acquire(PLAIN)
    assert pool.is_worn(extra, 0.0)
    pool.wait("first", 0.0)
    assert not pool.is_worn(extra, 0.0)


@pytest.mark.parametrize("opening", [0, 1, 2, 3])
def test_a_minimum_is_kept(opening: int) -> None:
    pool = book(5, minimum=3)
    pool.opening = opening
    assert pool.to_open(0.0) == 3 - opening


def test_what_is_unused_is_closed_down_to_the_minimum() -> None:
    pool = book(5, minimum=1, idle_timeout=10.0)
    connections = [Connection() for _ in range(3)]
    for connection in connections:
        add(pool, connection, 0.0)
    assert pool.tick(9.0).close == []
    assert pool.tick(10.0).close == connections[:2]


def test_what_is_old_is_replaced() -> None:
    pool = book(2, minimum=1, lifetime=100.0)
    old = Connection(opened_at=0.0)
    add(pool, old)
    assert not pool.is_worn(old, 99.0)
    assert pool.is_worn(old, 100.0)
    due = pool.tick(100.0)
    assert due.close == [old]
    assert due.open == 1


def test_what_was_opened_together_is_not_replaced_together() -> None:
    pool = book(3, lifetime=100.0)
    connections = [Connection(share=share) for share in (0.5, 1.0, 1.5)]
    for connection in connections:
        add(pool, connection)
    for now, old in ((50.0, 0), (100.0, 1), (150.0, 2)):
        assert pool.tick(now - 1.0).close == []
        assert pool.tick(now).close == [connections[old]]


def test_what_is_retired_is_not_lent_again() -> None:
    pool = book()
    connection = Connection()
    add(pool, connection)
    pool.try_acquire(PLAIN)
    connection.retired = True
    assert pool.is_worn(connection, 0.0)


def test_a_wait_that_is_too_long_ends() -> None:
    pool = book(1, wait_timeout=5.0)
    pool.wait("first", 0.0)
    pool.wait("second", 1.0)
    assert pool.longest_wait(4.0) == 4.0
    assert pool.tick(5.0).timed_out == ["first"]
    assert pool.longest_wait(5.0) == 4.0
    assert pool.tick(6.0).timed_out == ["second"]
    assert pool.longest_wait(6.0) == 0.0


def test_a_connection_that_is_gone_is_forgotten() -> None:
    pool = book()
    lent, idle = Connection(), Connection()
    add(pool, idle)
    add(pool, lent)
    assert pool.try_acquire(PLAIN) is lent
    pool.remove(lent)
    pool.remove(idle)
    pool.remove(idle)
    assert pool.total == 0


def test_a_closed_book_lends_nothing() -> None:
    pool = book(2, minimum=1)
    idle, lent = Connection(), Connection()
    add(pool, idle)
    add(pool, lent)
    pool.try_acquire(PLAIN)
    pool.wait("first", 0.0)
    assert pool.close() == ([idle], ["first"])
    assert pool.to_open(0.0) == 0
    assert pool.is_worn(lent, 0.0)


class Life(RuleBasedStateMachine):
    """A pool as its shell drives it, on a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(
            size=3,
            minimum=1,
            reserve=1,
            reserve_after=3.0,
            wait_timeout=8.0,
            idle_timeout=6.0,
            lifetime=20.0,
        )
        self.book: Book[Connection, int, int] = Book(self.limits)
        self.now = 0.0
        self.numbers = count()
        self.line: deque[int] = deque()  # who waits, in the order they came
        self.since: dict[int, float] = {}
        self.lent: dict[int, Connection] = {}
        self.open()

    def open(self) -> None:
        wanted = self.book.to_open(self.now)
        before = self.book.total
        assert before + wanted <= self.limits.size + self.limits.reserve
        if wanted and before + wanted > self.limits.size:
            assert self.now - self.since[self.line[0]] >= self.limits.reserve_after
        self.book.opening += wanted

    def served(self, who: int | None, connection: Connection) -> None:
        if who is None:
            assert not self.line, "somebody waits, and a connection lies idle"
            return
        assert who == self.line.popleft(), "not first come, first served"
        self.lent[who] = connection

    @rule(flavour=st.sampled_from([PLAIN, OTHER]))
    def acquire(self, flavour: object) -> None:
        who = next(self.numbers)
        connection = self.book.try_acquire(flavour)
        if connection is not None:
            assert not self.line, "the line was overtaken"
            assert connection not in self.lent.values()
            self.lent[who] = connection
            return
        self.book.wait(who, self.now)
        self.line.append(who)
        self.since[who] = self.now
        self.open()

    @precondition(lambda self: self.lent)
    @rule(data=st.data(), flavour=st.sampled_from([PLAIN, OTHER]))
    def release(self, data: st.DataObject, flavour: object) -> None:
        who = data.draw(st.sampled_from(sorted(self.lent)))
        connection = self.lent.pop(who)
        connection.flavour = flavour
        if self.book.is_worn(connection, self.now):
            self.book.remove(connection)
            self.open()
        else:
            self.served(self.book.release(connection, self.now), connection)

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def offer(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.lent)))
        self.book.offer(self.lent[who], who, self.now)

    @rule(data=st.data())
    def reclaim(self, data: st.DataObject) -> None:
        due = self.book.reclaim(self.now)
        assert len(due) <= max(0, len(self.line) - self.book.opening)
        for connection, who in due:
            assert self.lent[who] is connection
            if data.draw(st.booleans()):
                del self.lent[who]
                self.served(self.book.release(connection, self.now), connection)

    @precondition(lambda self: self.book.opening)
    @rule()
    def opened(self) -> None:
        connection = Connection(self.now)
        self.served(self.book.opened(connection, self.now), connection)

    @precondition(lambda self: self.book.opening)
    @rule()
    def open_failed(self) -> None:
        self.book.open_failed()
        self.open()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(list(self.line)))
        assert self.book.leave(who)
        self.line.remove(who)

    @precondition(lambda self: self.lent or self.book.idle)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        owners = {id(connection): who for who, connection in self.lent.items()}
        found = [*self.lent.values(), *self.book.idle]
        connection = data.draw(st.sampled_from(found))
        self.lent.pop(owners.get(id(connection), -1), None)
        self.book.remove(connection)

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        due = self.book.tick(self.now)
        for who in due.timed_out:
            assert who == self.line.popleft()
            assert self.now - self.since[who] >= self.limits.wait_timeout
        self.open()
        for connection in self.book.idle:
            assert self.now - connection.opened_at < self.limits.lifetime
        for connection in due.close:
            assert connection not in self.lent.values()
        assert self.book.total >= self.limits.minimum
        if self.line:
            assert self.now - self.since[self.line[0]] < self.limits.wait_timeout
            is_full = self.book.total >= self.limits.size
            assert is_full or self.book.opening >= len(self.line), (
                "there is room, yet none is opened"
            )

    @invariant()
    def it_adds_up(self) -> None:
        assert self.book.busy == set(self.lent.values())
        assert self.book.offered.keys() <= self.book.busy
        assert not (self.book.idle and self.line)
        assert self.book.total <= self.limits.size + self.limits.reserve
        assert [place.waiter for place in self.book.waiting] == list(self.line)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
