"""Foreign writes are seen in the servers' counters, and our own are not taken for them."""

from __future__ import annotations

from random import Random

import pytest

from proxy.freshness.watch import Counters, Watch
from proxy.types import Table

ORDERS = Table("shop", 16400)
ITEMS = Table("shop", 16401)
PATIENCE = 5


def never(table: Table) -> bool:
    return False


class Server:
    """The counters of one table, which report what was written some time later."""

    def __init__(self) -> None:
        self.watch = Watch(PATIENCE)
        self.rows = 1000
        self.files = 1
        assert self.poll()  # without history, whatever it says is news
        assert not self.poll()

    def poll(self, *, pending: bool = False) -> bool:
        sample = {ORDERS: Counters(self.rows, self.files)}
        return self.watch.compare(sample, lambda table: pending) == [ORDERS]


@pytest.fixture
def server() -> Server:
    return Server()


def test_nothing_written_is_nothing_foreign(server: Server) -> None:
    assert not any(server.poll() for _ in range(3 * PATIENCE))


def test_rows_that_are_not_ours_are_foreign_once(server: Server) -> None:
    server.rows += 1
    assert server.poll()
    assert not server.poll()


def test_our_rows_are_not_foreign(server: Server) -> None:
    server.watch.wrote(ORDERS, 3)
    server.rows += 3
    assert not server.poll()


def test_our_rows_may_be_reported_late(server: Server) -> None:
    server.watch.wrote(ORDERS, 3)
    assert not server.poll()
    server.rows += 3
    assert not server.poll()


def test_a_foreign_row_among_ours_shows_when_ours_are_reported(server: Server) -> None:
    server.watch.wrote(ORDERS, 3)
    server.rows += 1
    assert not server.poll()
    server.rows += 3
    assert server.poll()


def test_a_sample_taken_while_a_commit_is_pending_says_nothing(server: Server) -> None:
    server.rows += 3
    assert not server.poll(pending=True)
    server.watch.wrote(ORDERS, 3)
    assert not server.poll()
    server.rows += 1
    assert server.poll()


def test_rows_of_a_transaction_of_ours_that_was_rolled_back_hide_nothing(server: Server) -> None:
    server.rows += 5
    assert server.poll()
    server.rows += 1
    assert server.poll()


def test_counters_that_go_down_are_foreign(server: Server) -> None:
    server.rows = 10
    assert server.poll()
    server.rows += 1
    assert server.poll()


def test_a_rewritten_table_is_foreign_though_no_row_is_counted(server: Server) -> None:
    server.files += 1
    assert server.poll()
    assert not server.poll()


def test_our_rows_that_are_never_reported_hide_foreign_ones_only_for_a_while(
    server: Server,
) -> None:
    server.watch.wrote(ORDERS, 3)
    server.rows += 2  # foreign, while ours were lost
    polls = [server.poll() for _ in range(PATIENCE + 1)]
    assert polls == [False] * PATIENCE + [True]
    server.rows += 1
    assert server.poll()


def test_a_table_without_history_is_foreign(server: Server) -> None:
    sample = {table: Counters(1000, 1) for table in (ORDERS, ITEMS)}
    assert server.watch.compare(sample, never) == [ITEMS]


def test_a_table_that_was_gone_has_no_history(server: Server) -> None:
    server.watch.wrote(ORDERS, 3)
    assert server.watch.compare({}, never) == []
    assert server.poll()


def test_a_restart_forgets_every_history(server: Server) -> None:
    server.watch.wrote(ORDERS, 3)
    server.watch.restart()
    assert server.poll()
    assert not server.poll()


def run(seed: int, *, foreign: float) -> tuple[int, int]:
    """Let writers write at random; a write is reported before the patience is over.

    Returns:
        The sample with the last foreign row in it, and the last that was called foreign.
    """
    random = Random(seed)
    server = Server()
    late: list[tuple[int, int, bool]] = []  # reported at, rows, whether foreign
    last_foreign = last_called = 0
    for now in range(1, 220):
        quiet = now > 200
        if random.random() < 0.3 and not quiet:
            rows = random.randint(1, 4)
            server.watch.wrote(ORDERS, rows)
            late.append((now + random.randint(0, PATIENCE - 1), rows, False))
        if random.random() < foreign and not quiet:
            late.append((now + random.randint(0, PATIENCE - 1), random.randint(1, 4), True))
        for _, rows, is_foreign in [write for write in late if write[0] == now]:
            server.rows += rows
            last_foreign = now if is_foreign else last_foreign
        if server.poll():
            last_called = now
    return last_foreign, last_called


@pytest.mark.parametrize("seed", range(100))
def test_every_foreign_write_is_called_foreign_once_its_rows_are_counted(seed: int) -> None:
    last_foreign, last_called = run(seed, foreign=0.05)
    assert last_called >= last_foreign > 0


@pytest.mark.parametrize("seed", range(100))
def test_without_foreign_writes_nothing_is_called_foreign(seed: int) -> None:
    assert run(seed, foreign=0.0) == (0, 0)
