"""Two members whose words are delivered by hand."""

from __future__ import annotations

from itertools import count
from math import inf

from proxy.freshness.fleet import LEASE, RENEWALS, Fleet
from proxy.freshness.frames import Frame, Note
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.types import Epoch, Position, Table, Token

ORDERS, ITEMS = Table("shop", 101), Table("shop", 102)
EPOCH = Epoch(1, Token(7))
tokens = map(Token, count(100))


class Member:
    """A member whose words are delivered by hand."""

    def __init__(self, name: str) -> None:
        self.ledger = Ledger(Token(1))
        self.ledger.new_epoch(EPOCH.token, Position(10))
        self.fleet = Fleet(name, self.ledger, EPOCH)
        self.fleet.vouched(inf)
        if name == "alone":
            self.fleet.enter([])
        self.read_set = self.ledger.read_set("shop", [ORDERS])

    def is_fast(self, now: float) -> bool:
        return self.ledger.is_clean(self.read_set, now)

    @property
    def version(self) -> int:
        return self.ledger.version(self.read_set)


class Two:
    """Two members that have each other in their views, and a bus between them."""

    def __init__(self) -> None:
        self.a, self.b = Member("a"), Member("b")
        self.now = 100.0
        self.a.fleet.enter(["b"])
        self.b.fleet.enter(["a"])

    def says(self, who: Member) -> tuple[Frame | None, list[Note]]:
        return who.fleet.flush(self.now)

    def carry(self, who: Member, *, frames: bool = True, notes: bool = True) -> None:
        """What one has to say reaches the other."""
        other = self.b if who is self.a else self.a
        frame, said = self.says(who)
        if frame is not None and frames:
            other.fleet.hear(frame, self.now)
        for note in said:
            if notes:
                other.fleet.hear_note(note, self.now)

    def settle(self) -> None:
        """They talk until both read fast, in no time."""
        self.talk()
        assert self.a.is_fast(self.now)
        assert self.b.is_fast(self.now)

    def talk(self) -> None:
        """They say all that there is to say, and renew their grants."""
        for _ in range(4):
            self.now += LEASE / RENEWALS
            for who in (self.a, self.b):
                self.carry(who)
            for who in (self.a, self.b):
                self.carry(who)

    def mark(self, *tables: Table) -> Mark:
        return self.a.fleet.mark(tables or (ORDERS,), next(tokens), self.now)
