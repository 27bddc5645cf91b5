"""Who asks a second level for a result, where there is no session."""

from __future__ import annotations

from proxy.cache.admission import Worth
from proxy.cache.benefit import Benefit
from proxy.cache.entry import Context
from proxy.cache.key import Shape
from proxy.cache.second import Lookup, SecondLevel
from proxy.freshness.ledger import Ledger
from proxy.types import Position, Table, Token

SHAPE = Shape(1, 0, "g", "shop", "ann", "ann", "postgres", "UTF8", ())
ORDERS = Table("shop", 16384)


class Asker:
    """Its results depend on one table, which is `version` now."""

    def __init__(self, level: SecondLevel) -> None:
        self.level = level
        self.ledger = Ledger(Token(1))
        self.ledger.new_epoch(Token(2), Position(1))
        self.context = Context(SHAPE, self.ledger)
        self.read_set = self.ledger.read_set("shop", [ORDERS])
        self.worth = Worth(0.0)
        self.over: list[Lookup] = []

    @property
    def version(self) -> int:
        return self.ledger.version(self.read_set)

    def writes(self) -> None:
        """Somebody commits a change."""
        self.ledger.commit(self.ledger.mark([ORDERS], Token(3)))

    def fetched(self, lookup: Lookup) -> None:
        self.over.append(lookup)

    def lookup(self, name: bytes, now: float = 0.0, saved: float = 0.0) -> Lookup:
        """Ask for what stands under a name, and takes a server so many seconds."""
        return Lookup(self.level, name, self.context, self.read_set, Benefit(), self, now, saved)
