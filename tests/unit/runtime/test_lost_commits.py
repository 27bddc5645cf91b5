"""Commits whose connection broke, where nobody may end the server's session."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.engines.postgres.grammar import PostgresGrammar
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, Mark
from proxy.routing.plan import Planner
from proxy.runtime import lost_commits as under_test
from proxy.runtime.commits import Commits
from proxy.runtime.lost_commits import LostCommits
from proxy.session.transaction import Transaction
from proxy.topology.group import Server
from proxy.types import Table, Token

TABLE = Table("app", 101)


class Witness:
    """Says what is to be said of the session."""

    def __init__(self) -> None:
        self.is_there = True
        self.busy = True
        self.asked = asyncio.Event()

    async def fence(self, pid: int, start: float) -> bool:
        self.asked.set()
        return not self.is_there

    async def is_busy(self, pid: int) -> bool:
        return self.busy

    async def until_asked(self, times: int = 3) -> None:
        for _ in range(times):
            self.asked.clear()
            await self.asked.wait()


@pytest.fixture(autouse=True)
def _ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "RETRY", 0.001)


def lose(settles: float | None) -> tuple[Commits, Witness, Mark]:
    ledger = Ledger(Token(0))
    nothing: Any = SimpleNamespace(tally=lambda _: None)
    commits = Commits(ledger, Planner(ledger), lambda: Token(1), nothing, lambda: None)
    server = Server("a", 1)
    commits.moved(server)
    transaction = Transaction(PostgresGrammar())
    transaction.writes = frozenset((TABLE,))
    mark = commits.announce(SimpleNamespace(mark=None), transaction, "app")
    witness = Witness()
    connection: Any = SimpleNamespace(
        server=server, pid=1, facts=SimpleNamespace(backend_start=0.0)
    )
    LostCommits(commits, settles).look_for(mark, connection, witness)
    return commits, witness, mark


async def test_it_counts_when_its_session_was_at_rest_for_long_enough() -> None:
    commits, witness, mark = lose(0.05)
    await witness.until_asked()
    assert mark.state is LOST
    witness.busy = False
    rests_from = asyncio.get_running_loop().time()
    while commits.has_lost():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() >= rests_from + 0.04


async def test_it_pends_until_its_session_is_gone_where_nothing_was_promised() -> None:
    commits, witness, mark = lose(None)
    witness.busy = False
    await witness.until_asked(20)
    assert mark.state is LOST
    witness.is_there = False
    while commits.has_lost():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
