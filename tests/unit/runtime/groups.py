"""A server group around a member, as far as its fleet is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxy.freshness.frames import Wrote
from proxy.freshness.mark import Mark
from proxy.topology.group import Server
from proxy.types import Epoch, Position, Table


class Group:
    """Surroundings that take down what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.widened: list[Mark] = []

    def replicas(self) -> Sequence[Server]:
        return ()

    def has_reached(self, replica: Server, position: Position) -> bool:
        return True

    def has_lost(self) -> bool:
        return False

    def epoch_begun(self, epoch: Epoch) -> None: ...

    def definitions_change(self) -> list[Mark]:
        self.told.append("change")
        return self.widened

    def definitions_changed(self) -> None:
        self.told.append("changed")

    def others_doubt(self, member: str, tables: frozenset[Table]) -> None: ...
    def others_wrote(self, written: Iterable[tuple[Mark | None, Wrote]]) -> None: ...

    def entered(self, salt: bytes) -> None: ...

    def expelled(self) -> None: ...
