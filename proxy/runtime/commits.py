"""Commits on their way: announced before they are sent, settled by what became of them.

The ledger decides what a mark means. Here is who holds it, what happens to it when the catalog or
the epoch changes under it, and the search for the outcome of one whose connection broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, Mark
from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.observe.logs import Logger
from proxy.routing.plan import Planner
from proxy.runtime.server import ServerConnection
from proxy.session.transaction import Transaction
from proxy.topology.witness import Witness
from proxy.types import Position, Table, Token

log = Logger("commits")

RETRY: Final = 0.2
"""Seconds between two tries to find out what became of a lost commit."""

_SCHEMA: Final = schema_of(EVERY_DATABASE)


class Holder(Protocol):
    """Who sends the commit that a mark stands for."""

    mark: Mark | None


class _Kept:
    """Nobody any more."""

    def __init__(self, mark: Mark) -> None:
        self.mark: Mark | None = mark


class _Lost:
    """Holds the mark of a commit whose connection broke."""

    def __init__(self, mark: Mark) -> None:
        self.mark: Mark | None = mark


@final
class Commits:
    """See the module."""

    __slots__ = ("_held", "_ledger", "_new_token", "_planner", "_schema_changed", "_tasks")

    def __init__(
        self,
        ledger: Ledger,
        planner: Planner,
        new_token: Callable[[], Token],
        schema_changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._new_token = new_token
        self._schema_changed = schema_changed
        self._held: dict[Mark, Holder] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, holder: Holder, transaction: Transaction, database: str) -> Mark:
        """Mark what a commit may change, just before it is sent."""
        tables = transaction.writes
        if transaction.generation != self._planner.generation:
            # Planned by a catalog that has changed since: it may have missed a trigger.
            tables |= self._planner.any_table(database)
        if _SCHEMA in tables:
            self._widen(database)
        return self._mark(holder, tables)

    def settle(self, mark: Mark, *, committed: bool, position: Position | None = None) -> None:
        """Say what became of a commit, and where it is in the primary's log, if that is known."""
        self._held.pop(mark, None)
        if not committed:
            self._ledger.rollback(mark)
            return
        self._ledger.commit(mark, position)
        if _SCHEMA in mark.tables:
            self._planner.distrust()
            self._schema_changed()

    def keep(self, mark: Mark) -> None:
        """Leave a mark pending, in every epoch to come."""
        self._held[mark] = _Kept(mark)
        if _SCHEMA in mark.tables:
            self._planner.distrust()
            self._schema_changed()

    def lose(self, mark: Mark, connection: ServerConnection, witness: Witness) -> None:
        """Keep the tables of a commit with the primary until its outcome is certain."""
        self._ledger.lose(mark)
        holder = _Lost(mark)
        self._held[mark] = holder
        task = asyncio.get_running_loop().create_task(self._resolve(holder, connection, witness))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def carry_over(self) -> None:
        """A new epoch dropped what was pending: what may still commit is announced again."""
        for mark, holder in list(self._held.items()):
            del self._held[mark]
            renewed = self._mark(holder, mark.tables)
            if isinstance(holder, _Lost):
                self._ledger.lose(renewed)

    def drop(self) -> None:
        """A new primary: what was under way on the old one is nothing to it."""
        self._held = {m: h for m, h in self._held.items() if not isinstance(h, _Lost)}
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        """Stop looking for outcomes."""
        for task in self._tasks:
            task.cancel()

    def _mark(self, holder: Holder, tables: frozenset[Table]) -> Mark:
        mark = self._ledger.mark(tables, self._new_token())
        self._held[mark] = holder
        holder.mark = mark
        return mark

    def _widen(self, database: str) -> None:
        """A definition is about to change: commits under way may set off what it adds."""
        for mark, holder in list(self._held.items()):
            if _SCHEMA not in mark.tables and mark.state is not LOST:
                del self._held[mark]
                self._mark(holder, mark.tables | self._planner.any_table(database))
                self._ledger.rollback(mark)

    async def _resolve(self, holder: _Lost, connection: ServerConnection, witness: Witness) -> None:
        """End the server process that had the commit, and see it gone; then it counts."""
        log.warning(
            "outcome of a commit unknown", server=connection.server.name, pid=connection.pid
        )
        while True:
            if await self._is_gone(connection, witness):
                break
            await asyncio.sleep(RETRY)
        mark = holder.mark
        if mark is not None and mark in self._held:
            del self._held[mark]
            self._ledger.resolve(mark)
            if _SCHEMA in mark.tables:
                self._planner.distrust()
                self._schema_changed()
        log.info("commit counted", server=connection.server.name, pid=connection.pid)

    async def _is_gone(self, connection: ServerConnection, witness: Witness) -> bool:
        try:
            return await witness.fence(connection.pid, connection.facts.backend_start)
        except Exception as error:
            log.warning("could not look for a lost commit", error=str(error))
            return False
