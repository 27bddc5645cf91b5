"""What the log tells of foreign commits ends what was cached before them, and ours are not taken
for foreign ones. By hand first, then through random orders of everything that can happen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest

from proxy.freshness.feed import MAX_TOLD, Commit, Feed, Foreign, Question
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.shares import US
from proxy.freshness.tables import ReadSet, everything_in
from proxy.types import Position, Table, Token

ORDERS = Table("shop", 16400)
ITEMS = Table("shop", 16401)
TABLES = tuple(Table("shop", 16400 + number) for number in range(4))
EVERYTHING = everything_in("shop")
SENT = Mark(Token(1 << 62), frozenset([ORDERS, ITEMS]))
"""Of a commit of ours that was announced before it was sent."""

FOREIGN = "past the fleet"
MAX_OPEN = 3  # commits at once: more of them, and each soon hides what another was wrong about


@dataclass
class View:
    """See `Snapshot`."""

    running: frozenset[int] = frozenset()

    def shows(self, xid: int) -> bool:
        return xid not in self.running


class Primary:
    """A feed and its ledger, with what the log says put in by hand."""

    def __init__(self) -> None:
        numbers = count(1)
        self.ledger = Ledger(Token(0))
        self.ledger.new_epoch(Token(1 << 60), Position(0))
        self.feed = Feed(EVERYTHING, self.ledger, lambda: Token(next(numbers)))
        self.orders = self.ledger.read_set("shop", [ORDERS])
        self.tokens = count(1 << 61)
        self.marks = map(Token, count(1 << 63))

    def ask(self, view: View | None = None, position: int = 0) -> list[Foreign]:
        question = self.feed.ask()
        return self.feed.answered(question, view or View(), Position(position))

    def own(self, rows: int, *, told: bool = True) -> None:
        mark = self.ledger.mark([ORDERS], Token(next(self.tokens)))
        self.feed.wrote(mark, ORDERS, rows)
        self.ledger.commit(mark)
        if told:
            self.feed.heard(Commit(1, {ORDERS: rows}))

    @property
    def version(self) -> int:
        return self.ledger.version(self.orders)

    @property
    def is_clean(self) -> bool:
        return self.ledger.is_clean(self.orders, 0.0)


@pytest.fixture
def primary() -> Primary:
    primary = Primary()
    primary.feed.begin(View())
    return primary


def test_a_beginning_counts_as_a_write_to_everything() -> None:
    primary = Primary()
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    assert not primary.feed.wants_snapshot
    primary.feed.begin(View())
    assert primary.version != before
    assert primary.is_clean


def test_a_foreign_commit_is_read_at_the_primary_until_it_is_visible(primary: Primary) -> None:
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 2}))
    assert primary.feed.is_urgent
    assert not primary.is_clean
    assert primary.ask(View(frozenset({7}))) == []
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 2)]
    assert primary.is_clean
    assert primary.version != before
    assert not primary.feed.wants_snapshot


def test_a_commit_that_is_claimed_before_it_is_told_of_is_ours(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    primary.feed.claim(mark, ["a:1"], frozenset([ORDERS]))
    primary.ledger.commit(mark)
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 2}, frozenset(), "a:1"))
    primary.feed.heard(Commit(7, {}, frozenset([ORDERS]), "a:1"))
    assert primary.is_clean
    assert primary.version == before


def test_a_commit_that_is_claimed_when_it_was_told_of_is_ours(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    primary.feed.heard(Commit(7, {ORDERS: 2}, frozenset(), "a:1"))
    primary.feed.heard(Commit(7, {ORDERS: 1}, frozenset(), "a:1"))
    assert not primary.feed.is_urgent
    primary.feed.claim(mark, ["a:1"], frozenset([ORDERS]))
    primary.ledger.commit(mark)
    assert primary.is_clean
    assert not primary.feed.wants_snapshot
    primary.feed.heard(Commit(7, {ORDERS: 1}, frozenset(), "a:1"))  # its last part
    assert primary.is_clean


def test_a_claim_hides_no_commit_of_others(primary: Primary) -> None:
    primary.feed.claim(SENT, ["a:1"], frozenset([ORDERS]))
    primary.feed.heard(Commit(7, {ORDERS: 2}, frozenset(), "a:2"))
    assert not primary.is_clean
    primary.feed.heard(Commit(8, {ORDERS: 2}, frozenset(), "a:1"))
    assert primary.ask() == [Foreign(ORDERS, 2)]


def test_what_our_commit_wrote_without_our_knowing_counts(primary: Primary) -> None:
    primary.feed.claim(SENT, ["a:1"], frozenset([ITEMS]))
    primary.feed.heard(Commit(7, {ORDERS: 1, ITEMS: 1}, frozenset(), "a:1"))
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 1)]


def test_a_claim_is_forgotten_when_the_log_is_past_it(primary: Primary) -> None:
    primary.feed.claim(SENT, ["a:1"], frozenset([ORDERS]))
    primary.ask(position=100)
    primary.feed.claim(SENT, ["a:2"], frozenset([ORDERS]))
    primary.feed.reached(Position(100))
    primary.feed.heard(Commit(7, {ORDERS: 1}, frozenset(), "a:2"))
    assert primary.is_clean
    primary.feed.heard(Commit(8, {ORDERS: 1}, frozenset(), "a:1"))  # there is no such thing
    assert not primary.is_clean


def test_what_nobody_claims_is_not_kept_for_ever(primary: Primary) -> None:
    for number in range(MAX_TOLD + 1):
        primary.feed.heard(Commit(number, {ITEMS: 1}, frozenset(), f"a:{number}"))
    primary.feed.claim(SENT, ["a:0"], frozenset([ITEMS]))
    assert primary.ask() == [Foreign(ITEMS, MAX_TOLD + 1)]


def test_a_snapshot_asked_for_before_says_nothing(primary: Primary) -> None:
    question = primary.feed.ask()
    primary.feed.heard(Commit(7, {ORDERS: 2}))
    assert primary.feed.answered(question, View(), Position(0)) == []
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 2)]


def test_what_an_earlier_commit_waits_for_is_waited_for(primary: Primary) -> None:
    primary.own(5, told=False)
    primary.feed.heard(Commit(7, {ORDERS: 3}))  # behind ours, as it seems
    assert primary.is_clean
    primary.feed.heard(Commit(8, {ORDERS: 5}))
    assert primary.ask(View(frozenset({7}))) == []
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 3)]


def test_our_own_commits_change_nothing_more(primary: Primary) -> None:
    primary.own(3)
    before = primary.version
    assert primary.is_clean
    assert primary.ask() == []
    assert primary.version == before


def test_ours_may_be_told_before_it_is_acknowledged(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    primary.feed.heard(Commit(7, {ORDERS: 3}))
    assert primary.feed.has_suspicions
    assert not primary.feed.is_urgent
    primary.feed.wrote(mark, ORDERS, 3)
    assert not primary.feed.has_suspicions
    primary.ledger.commit(mark)
    before = primary.version
    assert primary.is_clean
    assert primary.ask() == []
    assert primary.version == before


def test_ours_may_be_seen_before_it_is_acknowledged(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    primary.feed.heard(Commit(7, {ORDERS: 3}))
    assert primary.ask() == []
    assert primary.feed.has_suspicions
    assert not primary.feed.wants_snapshot, "nobody reads it fast meanwhile"
    primary.feed.wrote(mark, ORDERS, 3)
    assert not primary.feed.has_suspicions
    primary.ledger.commit(mark)
    assert primary.is_clean


def test_behind_a_rollback_of_ours_it_was_somebody_else(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 3}))
    assert primary.ask() == []
    primary.ledger.rollback(mark)
    assert not primary.is_clean
    assert primary.feed.wants_snapshot
    assert primary.ask() == [Foreign(ORDERS, 3)]
    assert primary.version != before


def test_what_is_emptied_while_ours_is_under_way_counts_at_once(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], Token(1 << 62))
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 3}, frozenset({ORDERS})))
    assert primary.ask() == []
    assert primary.version != before
    primary.feed.wrote(mark, ORDERS, 3)
    primary.ledger.commit(mark)
    assert primary.is_clean
    assert primary.ask() == []
    primary.feed.heard(Commit(8, {ORDERS: 1}))
    assert primary.ask() == [Foreign(ORDERS, 1)], "nothing of ours hides it"


def test_another_members_commit_is_ours_if_it_was_announced_in_time(primary: Primary) -> None:
    """Before it was sent, and since the log is read: else its rows may have been judged already."""
    for is_ahead in (True, False):
        mark = primary.ledger.mark([ORDERS], next(primary.marks), "another")
        mark.is_ahead = is_ahead
        before = primary.version
        primary.feed.heard(Commit(7, {ORDERS: 3}))
        primary.feed.wrote(mark, ORDERS, 3)
        primary.ledger.commit(mark)
        clears = primary.version
        assert clears != before
        assert primary.ask() == ([] if is_ahead else [Foreign(ORDERS, 3)])
        assert (primary.version == clears) is is_ahead
        assert primary.is_clean


def test_what_was_under_way_at_the_beginning_is_taken_for_foreign(primary: Primary) -> None:
    """The log tells of it, or it did before; rows of others would hide behind it in that case."""
    mark = primary.ledger.mark([ORDERS], next(primary.marks), "another")
    mark.is_ahead = True
    primary.feed.begin(View())
    primary.feed.wrote(mark, ORDERS, 3)
    primary.feed.claim(mark, ["a:1"], frozenset([ORDERS]))
    primary.ledger.commit(mark)
    primary.feed.heard(Commit(7, {ORDERS: 3}, frozenset(), "a:1"))
    assert primary.ask() == [Foreign(ORDERS, 3)]


def test_a_foreign_commit_is_seen_beside_another_members(primary: Primary) -> None:
    mark = primary.ledger.mark([ORDERS], next(primary.marks), "another")
    mark.is_ahead = True
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    primary.feed.heard(Commit(8, {ORDERS: 1}))
    primary.feed.wrote(mark, ORDERS, 1)
    primary.ledger.commit(mark)
    before = primary.version
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 1)]
    assert primary.version != before


def test_others_are_not_told_of_what_is_suspected(primary: Primary) -> None:
    """They read the log by themselves; what it was found to be counts for all."""
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    assert not primary.is_clean
    assert not primary.ledger.unsettled()


def test_a_commit_may_be_claimed_in_parts(primary: Primary) -> None:
    for tables in ([ORDERS], [ITEMS]):
        primary.feed.claim(SENT, ["a:1"], frozenset(tables))
    primary.feed.heard(Commit(7, {ORDERS: 2, ITEMS: 1}, frozenset(), "a:1"))
    assert not primary.feed.has_suspicions
    primary.feed.heard(Commit(8, {ORDERS: 2, ITEMS: 1}, frozenset(), "a:2"))
    for tables in ([ORDERS], [ITEMS]):
        assert primary.feed.has_suspicions
        primary.feed.claim(SENT, ["a:2"], frozenset(tables))
    assert not primary.feed.has_suspicions
    primary.feed.claim(SENT, ["a:2"], frozenset([ORDERS, ITEMS]))
    primary.feed.heard(Commit(9, {ORDERS: 1}))
    assert primary.ask() == [Foreign(ORDERS, 1)], "what is claimed twice counts once"


def test_what_is_found_is_known_to_the_audit(primary: Primary) -> None:
    before = primary.ledger.foreign_commits(primary.orders)
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    primary.ask()
    assert primary.ledger.foreign_commits(primary.orders) == before + 1


def test_an_emptied_table_is_written_whoever_did_it(primary: Primary) -> None:
    primary.own(3, told=False)
    before = primary.version
    primary.feed.heard(Commit(7, {}, frozenset({ORDERS})))
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 0)]
    assert primary.version != before


def test_what_may_be_any_table_is_every_table(primary: Primary) -> None:
    before = primary.version
    primary.feed.heard(Commit(7, {}, frozenset({EVERYTHING})))
    assert not primary.is_clean
    assert primary.ask() == []
    assert primary.version != before


def test_a_credit_that_was_wrong_hides_nothing_for_long(primary: Primary) -> None:
    primary.own(5, told=False)
    before = primary.version
    primary.ask(position=100)
    primary.feed.reached(Position(99))
    assert primary.is_clean
    primary.feed.reached(Position(100))
    assert not primary.is_clean
    assert primary.ask() == [Foreign(ORDERS, 0)]
    assert primary.version != before
    primary.feed.heard(Commit(8, {ORDERS: 1}))
    assert primary.ask() == [Foreign(ORDERS, 1)]


def test_what_was_asked_last_settles_what_was_credited_before(primary: Primary) -> None:
    """A strict read waits for that alone, whatever else was asked and is not reached yet."""
    primary.ask(position=100)
    primary.own(5, told=False)
    primary.feed.heard(Commit(7, {ORDERS: 3}))
    primary.ask(position=150)
    assert primary.is_clean
    primary.feed.reached(Position(150))
    assert not primary.is_clean


def test_a_later_credit_is_waited_for(primary: Primary) -> None:
    question = primary.feed.ask()
    primary.own(5, told=False)
    primary.feed.answered(question, View(), Position(100))
    primary.feed.reached(Position(100))
    assert primary.is_clean


def test_who_wrote_at_the_beginning_and_is_not_told_of_may_have_written_anything() -> None:
    primary = Primary()
    primary.feed.begin(View(frozenset({7, 8})))
    before = primary.version
    primary.ask(View(frozenset({7, 8})), position=50)
    primary.feed.reached(Position(50))
    primary.feed.heard(Commit(8, {}))
    primary.ask(View(frozenset({7})), position=60)
    primary.feed.reached(Position(60))
    assert primary.version == before
    primary.ask(position=70)
    primary.feed.reached(Position(70))
    primary.ask()
    assert primary.version != before


def test_a_loss_leaves_nothing_marked(primary: Primary) -> None:
    before = primary.version
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    primary.feed.lose()
    assert primary.is_clean
    assert primary.version != before
    assert not primary.ledger.unsettled()
    primary.feed.wrote(SENT, ORDERS, 1)
    primary.feed.begin(View())
    primary.feed.heard(Commit(8, {ORDERS: 1}))
    assert primary.ask() == [Foreign(ORDERS, 1)]


def test_a_new_epoch_may_come_in_between(primary: Primary) -> None:
    primary.feed.heard(Commit(7, {ORDERS: 1}))
    primary.feed.heard(Commit(8, {ITEMS: 1}))
    primary.ledger.new_epoch(Token(1 << 62), Position(0))
    primary.feed.lose()
    assert not primary.ledger.unsettled()
    assert primary.is_clean


@dataclass
class Written:
    """A commit on its way: in the log, visible, acknowledged; and settled here."""

    xid: int
    table: Table
    rows: int
    mark: Mark | None = None
    is_logged: bool = False
    is_visible: bool = False
    is_told: bool = False
    is_certain: bool = False  # a snapshot that was asked for when it was both has been answered
    owner: str = US
    is_ahead: bool = True  # else another member's whose mark is heard when it may be sent already
    excess: int = 0  # rows that are credited and never come, as behind ROLLBACK TO

    @property
    def is_credited(self) -> bool:
        """Whether it may be told from a foreign one."""
        return self.owner != FOREIGN and self.is_ahead


@dataclass
class Read:
    """A read at the primary, whose result is kept if it is proven to be current."""

    read_set: ReadSet
    version: int
    seen: Counter[Table]


@dataclass
class Asked:
    """A snapshot that was asked for, and what it will show once the server takes it."""

    question: Question
    covered: list[Written]
    ended: Counter[Table]
    view: View | None = None
    position: int = 0


@dataclass
class World:
    """A primary, its log, all kinds of writers, and readers who keep what they read.

    Attributes:
        only_ours: Whether nobody writes past the fleet.
        has_late: Whether other members' marks may be heard late.
        has_excess: Whether too much may be credited.
        settling: Commits of other members that are acknowledged there, and not heard of here.
        ended: What anybody has been acknowledged.
        strict: What had been, when somebody asked where the log was, and where it was.
    """

    seed: int
    only_ours: bool = False
    has_late: bool = False
    has_excess: bool = False
    primary: Primary = field(default_factory=Primary)
    open: list[Written] = field(default_factory=list)
    log: list[Written] = field(default_factory=list)
    told: int = 0
    asked: Asked | None = None
    reads: list[Read] = field(default_factory=list)
    cache: list[tuple[ReadSet, int, Counter[Table]]] = field(default_factory=list)
    found: list[Foreign] = field(default_factory=list)
    settling: list[Written] = field(default_factory=list)
    ended: Counter[Table] = field(default_factory=Counter)
    strict: list[tuple[int, Counter[Table]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.xids = count(100)
        self.primary.feed.begin(View())

    def run(self, steps: int) -> None:
        asking = (self.ask, self.take_snapshot, self.answer)
        reading = (self.read, self.keep, self.read, self.keep)
        moves = (
            *(self.begin, self.enter_log, self.become_visible, self.end, self.tell, self.tell),
            *(*asking, *asking, *reading, self.announce, self.settle, self.settle),
        )
        for _ in range(steps):
            self.dice.choice(moves)()
            self.judge()
        for _ in range(6):
            moves = (self.enter_log, self.become_visible, self.end, self.announce, self.settle)
            for move in (*moves, self.tell):
                for _ in range(len(self.open) + len(self.log)):
                    move()
            self.ask()
            self.take_snapshot()
            self.answer()
        self.judge()

    def begin(self) -> None:
        if len(self.open) >= MAX_OPEN:
            return
        table = self.dice.choice(TABLES)
        written = Written(next(self.xids), table, self.dice.randint(1, 3))
        if self.only_ours or self.dice.random() < 0.6:
            written.owner = self.dice.choice((US, "another"))
            written.is_ahead = not (self.has_late and written.owner) or self.dice.random() < 0.5
            written.excess = self.dice.randint(0, 2) if self.has_excess else 0
            if written.is_ahead:
                self.mark(written)
        else:
            written.owner = FOREIGN
        self.open.append(written)

    def mark(self, written: Written) -> None:
        token = Token(next(self.primary.tokens))
        written.mark = self.primary.ledger.mark([written.table], token, written.owner)
        written.mark.is_ahead = written.is_ahead

    def announce(self) -> None:
        """A late mark is heard, whatever has become of its commit."""
        late = [it for it in self.open + self.settling if not it.is_ahead and it.mark is None]
        if late:
            self.mark(self.dice.choice(late))

    def pick(self, *, logged: bool, visible: bool) -> Written | None:
        fit = [it for it in self.open if (it.is_logged, it.is_visible) == (logged, visible)]
        return self.dice.choice(fit) if fit else None

    def enter_log(self) -> None:
        written = self.pick(logged=False, visible=False)
        if written is None:
            return
        if written.mark is not None and self.dice.random() < 0.2:
            self.open.remove(written)
            self.primary.ledger.rollback(written.mark)
            return
        written.is_logged = True
        self.log.append(written)

    def become_visible(self) -> None:
        written = self.pick(logged=True, visible=False)
        if written is not None:
            written.is_visible = True

    def end(self) -> None:
        written = self.pick(logged=True, visible=True)
        if written is None:
            return
        self.open.remove(written)
        self.ended[written.table] += 1
        if written.owner != FOREIGN:
            self.settling.append(written)
            if written.owner == US:
                self.settle(written)

    def settle(self, written: Written | None = None) -> None:
        """Hear of a commit that it is done, in front of which its rows are told."""
        known = [it for it in self.settling if it.mark is not None]
        if written is None and known:
            written = known[0]  # they are told in order
        if written is not None and written.mark is not None:
            self.settling.remove(written)
            self.primary.feed.wrote(written.mark, written.table, written.rows + written.excess)
            self.primary.ledger.commit(written.mark)

    def tell(self) -> None:
        feed = self.primary.feed
        if self.told < len(self.log):
            written = self.log[self.told]
            self.told += 1
            written.is_told = True
            feed.heard(Commit(written.xid, {written.table: written.rows}))
        feed.reached(Position(self.told))
        self.admit()

    def admit(self) -> None:
        """Strict reads go on: what is good for them has all that was acknowledged before."""
        for position, ended in list(self.strict):
            if position <= self.told:
                self.strict.remove((position, ended))
                for read_set, version, seen in self.cache:
                    if self.primary.ledger.fast_ok(read_set, version, 0.0):
                        for table in read_set.tables:
                            assert seen[table] >= ended[table], (self.seed, table)

    def ask(self) -> None:
        if self.asked is None:
            covered = [it for it in self.log if it.is_told and it.is_visible]
            self.asked = Asked(self.primary.feed.ask(), covered, self.ended.copy())

    def take_snapshot(self) -> None:
        if self.asked is not None and self.asked.view is None:
            hidden = frozenset(it.xid for it in self.open if not it.is_visible)
            self.asked.view = View(hidden)
            self.asked.position = len(self.log)

    def answer(self) -> None:
        asked = self.asked
        if asked is None or asked.view is None:
            return
        self.asked = None
        feed = self.primary.feed
        self.found += feed.answered(asked.question, asked.view, Position(asked.position))
        self.strict.append((asked.position, asked.ended))
        if all(it.is_certain or it in asked.covered for it in self.log[: asked.question.heard]):
            for written in asked.covered:
                written.is_certain = True

    def content(self) -> Counter[Table]:
        return Counter(it.table for it in self.log if it.is_visible)

    def read(self) -> None:
        ledger = self.primary.ledger
        read_set = ledger.read_set("shop", [self.dice.choice(TABLES)])
        self.reads.append(Read(read_set, ledger.version(read_set), self.content()))

    def keep(self) -> None:
        if self.reads:
            read = self.reads.pop(self.dice.randrange(len(self.reads)))
            version = self.primary.ledger.stamp(read.read_set, read.version, 0.0)
            if version is not None:
                self.cache.append((read.read_set, version, read.seen))

    def judge(self) -> None:
        """What is good to be answered has all that the log was seen to the end of."""
        certain = Counter(it.table for it in self.log if it.is_certain)
        for read_set, version, seen in self.cache:
            if self.primary.ledger.fast_ok(read_set, version, 0.0):
                for table in read_set.tables:
                    masked = self.masks(table)
                    assert masked or seen[table] >= certain[table], (self.seed, table)

    def masks(self, table: Table) -> bool:
        """Ours that are acknowledged and not told of yet hide others for that long."""
        return any(
            it.table == table and it.is_credited and not it.is_told and it not in self.open
            for it in self.log
        )


@pytest.mark.parametrize("has_late", [False, True])
@pytest.mark.parametrize("block", range(10))
def test_nothing_old_is_answered_in_any_order(block: int, has_late: bool) -> None:
    """And what is found is what was written past the fleet, or announced too late."""
    for seed in range(block * 25, block * 25 + 25):
        world = World(seed, has_late=has_late)
        world.run(150)
        assert not world.primary.ledger.pending_tokens(), seed
        foreign = Counter[Table]()
        for table, rows in world.found:
            foreign[table] += rows
        others = Counter[Table]()
        for it in world.log:
            if not it.is_credited:
                others[it.table] += it.rows
        assert foreign == others, seed


@pytest.mark.parametrize("block", range(5))
def test_strict_reads_miss_nothing_where_too_much_is_credited(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        world = World(seed, has_late=True, has_excess=True)
        world.run(150)
        assert not world.primary.ledger.pending_tokens(), seed


@pytest.mark.parametrize("block", range(4))
def test_our_own_are_never_foreign_in_any_order(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        world = World(seed, only_ours=True)
        world.run(150)
        assert not world.found, seed
