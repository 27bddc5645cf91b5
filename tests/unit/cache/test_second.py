"""What is asked of the second level, what is believed of it, and what it gets."""

from __future__ import annotations

import pytest

from proxy.cache.admission import Worth
from proxy.cache.benefit import TRIAL
from proxy.cache.entry import Entry
from proxy.cache.key import Key
from proxy.cache.sealed import Realm
from proxy.cache.second import (
    LONGEST_PAUSE,
    SLOWEST,
    Lookup,
    Outcome,
    SecondLevel,
    Stage,
    Statistics,
    Write,
)
from proxy.freshness.tables import NEVER
from proxy.types import Token
from tests.unit.cache.lookups import ORDERS, Asker

KEY = Key(b"SELECT a FROM orders")
PIECES = (b"columns", b"rows")


class Shelf:
    """Has what it is given."""

    def __init__(self) -> None:
        self.is_open = True
        self.entries: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.asked: list[Lookup] = []
        self.pauses: list[float] = []

    def get(self, lookup: Lookup) -> bool:
        if self.is_open:
            self.asked.append(lookup)
        return self.is_open

    def get_later(self, lookup: Lookup, seconds: float) -> None:
        self.pauses.append(seconds)

    def hold(self, claim: bytes, until: float) -> None:
        raise AssertionError("that is a session's affair")

    def let_go(self, claim: bytes) -> None:
        raise AssertionError("that is a session's affair")

    def put(self, name: bytes, version: int, pieces: tuple[bytes, ...]) -> None:
        self.entries[name] = (version, pieces)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def level(shelf: Shelf) -> SecondLevel:
    return SecondLevel(Realm(b"the salt of this fleet"), shelf, Statistics(), max_bytes=100)


@pytest.fixture
def asker(level: SecondLevel) -> Asker:
    return Asker(level)


def ask(asker: Asker, now: float = 0.0) -> Lookup | None:
    return asker.level.ask(asker.context, KEY, asker.read_set, asker.worth, asker, now)


def entry(asker: Asker, pieces: tuple[bytes, ...] = PIECES, version: int | None = None) -> Entry:
    at = asker.version if version is None else version
    return Entry(asker.context, KEY, pieces, asker.read_set, at, asker.worth)


def sealed(asker: Asker, shelf: Shelf) -> bytes:
    ((name, (version, pieces)),) = shelf.entries.items()
    return asker.level.realm.seal(name, version, pieces, 1000)


def test_what_is_kept_is_found_under_the_same_name(shelf: Shelf, asker: Asker) -> None:
    asker.level.keep(entry(asker))
    lookup = ask(asker)
    assert lookup is not None
    lookup.answered(sealed(asker, shelf), 0.001)
    assert lookup.found == (asker.version, PIECES)
    assert asker.over == [lookup]


def test_it_is_over_once(shelf: Shelf, asker: Asker) -> None:
    asker.level.keep(entry(asker))
    lookup = ask(asker)
    assert lookup is not None
    lookup.give_up(Outcome.LATE, 0.005)
    lookup.answered(sealed(asker, shelf), 0.006)
    lookup.give_up(Outcome.FAILED, 0.007)
    assert asker.over == [lookup]
    assert lookup.found is None
    assert dict(asker.level.statistics.reads.seen()) == {"late": 1}


def test_who_has_left_is_told_nothing(shelf: Shelf, asker: Asker) -> None:
    lookup = ask(asker)
    assert lookup is not None
    lookup.leave()
    lookup.answered(None, 0.001)
    assert not asker.over
    assert lookup.is_over


def test_what_a_commit_has_made_old_is_not_found(shelf: Shelf, asker: Asker) -> None:
    asker.level.keep(entry(asker))
    lookup = ask(asker)
    assert lookup is not None
    asker.writes()
    lookup.answered(sealed(asker, shelf), 0.001)
    assert lookup.found is None
    assert dict(asker.level.statistics.reads.seen()) == {"stale": 1}


def test_nothing_is_asked_while_a_commit_is_pending(shelf: Shelf, asker: Asker) -> None:
    mark = asker.ledger.mark([ORDERS], Token(4))
    assert ask(asker) is None
    asker.ledger.rollback(mark)
    assert ask(asker) is not None


def test_another_epoch_finds_nothing_of_the_one_before(shelf: Shelf, asker: Asker) -> None:
    asker.level.keep(entry(asker))
    asker.level.realm.epoch = b"another"
    lookup = ask(asker)
    assert lookup is not None
    assert lookup.name not in shelf.entries


def test_nothing_is_learnt_of_a_statement_while_the_store_fails(shelf: Shelf, asker: Asker) -> None:
    for _ in range(2 * TRIAL):
        lookup = ask(asker)
        assert lookup is not None
        lookup.give_up(Outcome.FAILED, 1.0)
    shelf.is_open = False
    assert ask(asker) is None
    reads = dict(asker.level.statistics.reads.seen())
    assert reads == {"failed": 2 * TRIAL, "skipped": 1}


def test_what_was_not_current_or_is_too_large_is_not_kept(shelf: Shelf, asker: Asker) -> None:
    asker.level.keep(entry(asker, version=NEVER))
    asker.level.keep(entry(asker, (b"", b"x" * 101)))
    assert not shelf.entries
    assert dict(asker.level.statistics.writes.seen()) == {Write.TOO_LARGE.value: 1}


def test_what_a_server_says_as_quickly_is_not_kept(shelf: Shelf, asker: Asker) -> None:
    asker.worth.answered(0.0005, 10)
    for _ in range(TRIAL):
        assert asker.level.wants(asker.worth)
        lookup = ask(asker)
        assert lookup is not None
        lookup.answered(None, 0.001)
    assert not asker.level.wants(asker.worth)
    asker.level.keep(entry(asker))
    assert dict(asker.level.statistics.writes.seen()) == {"not_worth": 1}


def test_what_memory_does_not_want_may_be_wanted_all_the_same(asker: Asker) -> None:
    """What falls out of memory unused is still there for whoever comes next."""
    worth = Worth(0.0)
    worth.answered(0.01, 100)
    for _ in range(100):
        worth.leave()
    assert not worth.pays
    assert asker.level.wants(worth)


# One asks, the others wait.


def slow(asker: Asker, seconds: float = 0.1) -> Lookup:
    """Ask for what takes a server long, and is not there."""
    asker.level.is_shared = True
    asker.worth.answered(seconds, 10)
    lookup = ask(asker)
    assert lookup is not None
    lookup.answered(None, 0.001)
    return lookup


def turns(asker: Asker) -> dict[str, int]:
    return dict(asker.level.statistics.turns.seen())


def test_what_takes_long_is_asked_by_whoever_claims_it_first(shelf: Shelf, asker: Asker) -> None:
    lookup = slow(asker)
    assert not lookup.is_over
    assert lookup.stage is Stage.CLAIM
    assert shelf.asked == [lookup, lookup]
    lookup.claimed(0.002, is_ours=True)
    assert lookup.leads
    assert asker.over == [lookup]
    assert lookup.held_until == pytest.approx(0.001 + SLOWEST * 0.1)
    assert turns(asker) == {"led": 1}
    assert dict(asker.level.statistics.reads.seen()) == {"absent": 1}


def test_the_others_look_until_it_is_there(shelf: Shelf, asker: Asker) -> None:
    lookup = slow(asker)
    lookup.claimed(0.002, is_ours=False)
    for number in range(3):
        assert shelf.pauses == [pytest.approx(0.1 / 16)] * (number + 1)
        lookup.answered(None, 0.01 * number, is_claimed=True)
    assert not asker.over
    asker.level.keep(entry(asker))
    lookup.answered(sealed(asker, shelf), 0.05, is_claimed=True)
    assert asker.over == [lookup]
    assert lookup.found is not None
    assert not lookup.leads
    assert turns(asker) == {"found": 1}
    assert dict(asker.level.statistics.reads.seen()) == {"hit": 1}


def test_a_wait_ends_with_the_claim_with_the_time_and_with_the_store(asker: Asker) -> None:
    gone, late, failed = (slow(asker) for _ in range(3))
    for lookup in (gone, late, failed):
        lookup.claimed(0.002, is_ours=False)
    gone.answered(None, 0.01, is_claimed=False)
    late.answered(None, 0.002 + SLOWEST * 0.1, is_claimed=True)
    failed.give_up(Outcome.LATE, 0.01)
    assert asker.over == [gone, late, failed]
    assert turns(asker) == {"gone": 1, "late": 1, "failed": 1}
    assert dict(asker.level.statistics.reads.seen()) == {"absent": 3}


def test_a_write_ends_a_wait_and_what_is_asked_next_is_claimed_anew(asker: Asker) -> None:
    first = slow(asker)
    first.claimed(0.002, is_ours=False)
    asker.writes()
    first.answered(None, 0.01, is_claimed=True)
    assert first.is_over
    assert slow(asker).claim != first.claim


def test_nobody_waits_while_a_commit_is_pending(asker: Asker) -> None:
    first = slow(asker)
    first.claimed(0.002, is_ours=False)
    asker.ledger.mark([ORDERS], Token(4))
    first.answered(None, 0.01, is_claimed=True)
    assert first.is_over


def test_who_has_left_looks_no_more(asker: Asker) -> None:
    lookup = slow(asker)
    lookup.claimed(0.002, is_ours=False)
    lookup.leave()
    lookup.answered(None, 0.01, is_claimed=True)
    assert lookup.is_over
    assert not asker.over


def test_what_is_quick_and_what_is_large_and_what_nobody_shares_is_not_claimed(
    asker: Asker,
) -> None:
    assert slow(asker, 0.01).is_over  # a fetch takes 1 ms
    asker.worth.answered(10.0, 100_000)
    assert slow(asker).is_over  # it would not be kept
    asker.worth = Worth(0.0)
    assert not slow(asker).is_over
    asker.level.is_shared = False
    asker.worth.answered(0.1, 10)
    alone = ask(asker)
    assert alone is not None
    alone.answered(None, 0.001)
    assert alone.is_over


def test_who_waits_long_looks_at_measured_intervals(shelf: Shelf, asker: Asker) -> None:
    slow(asker, 60.0).claimed(0.002, is_ours=False)
    assert shelf.pauses == [LONGEST_PAUSE]
