"""How often servers are connected to, to be asked for passwords, and when anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymysql.constants import ER
from pymysql.err import OperationalError

from proxy.errors import NoPrimary
from proxy.runtime.mysql import accounts
from proxy.runtime.mysql.accounts import Accounts
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.witness import Control
from proxy.wire.mysql.credentials import ELSEWHERE, Stored

CONTROL = Control("tidegate", "", "", "tidegate", None, interval=1.0, timeout=0.1)  # type: ignore[arg-type]
LOST = OperationalError(2013, "Lost connection to MySQL server during query")
DENIED = OperationalError(ER.TABLEACCESS_DENIED_ERROR, "SELECT command denied")


class Connection:
    """One to a server that says what `answers` hold, then always the same."""

    def __init__(self, server: Server, world: World) -> None:
        self.server = server
        self.is_closed = False
        self.hang_up: Callable[[], None] = lambda: None
        self._world = world

    def cursor(self, _: object) -> Connection:
        return self

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def execute(self, _: str, arguments: tuple[object, ...]) -> None:
        self._world.asked.append(f"{self.server.name} {arguments[0]}")
        self._world.is_asked.set()
        error = self._world.errors.pop(0) if self._world.errors else None
        if error is not None:
            raise error
        await self._world.go.wait()

    async def fetchall(self) -> list[dict[str, Any]]:
        return [{"plugin": "mysql_native_password", "secret": self._world.secret}]

    def close(self) -> None:
        self.is_closed = True


class World:
    """The servers, and whom they met."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.group = Group("app", [Server("a", 1), Server("b", 2)])
        self.connections: list[Connection] = []
        self.asked: list[str] = []
        self.errors: list[BaseException | None] = []
        self.changed: list[str] = []
        self.secret = "*00"
        self.down: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()
        self.is_asked = asyncio.Event()
        settings = ServerGroup(query_wait_timeout=0.3)
        self.accounts = Accounts(settings, CONTROL, self.group, self.changed.append)
        monkeypatch.setattr(accounts, "connect", self._connect)
        monkeypatch.setattr(accounts, "tell_end", self._tell_end)

    @property
    def connected(self) -> list[str]:
        return [connection.server.name for connection in self.connections]

    @property
    def open(self) -> list[str]:
        return [one.server.name for one in self.connections if not one.is_closed]

    async def _connect(self, _: Control, server: Server) -> Connection:
        if server.name in self.down:
            raise ConnectionRefusedError
        self.connections.append(Connection(server, self))
        return self.connections[-1]

    def _tell_end(self, connection: Connection, broken: Callable[[], None]) -> None:
        connection.hang_up = broken

    async def ask(self, *users: str) -> list[Stored | None]:
        return await asyncio.gather(*(self.accounts.stored(user) for user in users))


KNOWN = Stored(b"mysql_native_password", b"*00")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_one_connection_serves_all_logins_and_is_closed_at_the_end(world: World) -> None:
    for _ in range(3):
        assert await world.ask("ann", "bob") == [KNOWN, KNOWN]
    assert world.connected == ["a:1"]
    assert len(world.asked) == 6
    world.accounts.close()
    assert world.open == []


async def test_logins_of_one_user_that_wait_share_a_question_that_is_not_sent_yet(
    world: World,
) -> None:
    world.go.clear()
    first = asyncio.ensure_future(world.ask("ann"))
    await world.is_asked.wait()
    # The first question is on its way: these must not be answered by it.
    others = asyncio.ensure_future(world.ask("ann", "ann", "ann"))
    await asyncio.sleep(0)
    world.go.set()
    assert await first == [KNOWN]
    assert await others == [KNOWN] * 3
    assert world.asked == ["a:1 ann"] * 2


async def test_lost_connection_is_replaced_within_the_question(world: World) -> None:
    await world.ask("ann")
    world.errors = [LOST]
    assert await world.ask("ann") == [KNOWN]
    assert world.connected == ["a:1", "a:1"]
    assert len(world.open) == 1


async def test_server_that_hangs_up_is_not_asked_by_that_connection(world: World) -> None:
    await world.ask("ann")
    (first,) = world.connections
    first.hang_up()
    assert world.open == []
    await world.ask("ann")
    # The end of the former one may be told late.
    first.hang_up()
    await world.ask("ann")
    assert world.connected == ["a:1", "a:1"]


async def test_new_primary_is_asked_and_any_server_while_there_is_none(world: World) -> None:
    world.down = {"a:1"}
    await world.ask("ann")
    world.down = set()
    await world.ask("ann")
    world.group.primary = world.group.servers[0]
    await world.ask("ann")
    world.group.primary = None
    await world.ask("ann")
    assert [asked.split()[0] for asked in world.asked] == ["b:2", "b:2", "a:1", "a:1"]
    assert world.open == ["a:1"]


async def test_silent_server_is_given_up_and_its_connection_too(world: World) -> None:
    world.go.clear()
    with pytest.raises(NoPrimary):
        await world.ask("ann")
    assert world.connected[:2] == ["a:1", "b:2"]
    assert world.open == []


async def test_nobody_is_turned_away_for_servers_that_do_not_answer(world: World) -> None:
    world.down = {"a:1", "b:2"}
    with pytest.raises(NoPrimary):
        await world.ask("ann")
    login = asyncio.ensure_future(world.ask("ann"))
    await asyncio.sleep(0)
    world.down = set()
    assert await login == [KNOWN]


async def test_missing_right_is_no_reason_to_connect_anew(world: World) -> None:
    world.errors = [DENIED, DENIED]
    assert await world.ask("ann") == [ELSEWHERE]
    assert await world.ask("ann") == [ELSEWHERE]
    assert world.connected == world.open == ["a:1"]


async def test_changed_password_is_told_with_the_next_login(world: World) -> None:
    await world.ask("ann")
    world.secret = "*11"
    assert await world.ask("ann") == [Stored(b"mysql_native_password", b"*11")]
    assert world.changed == ["ann"]


async def test_client_that_leaves_takes_no_connection_with_it(world: World) -> None:
    world.go.clear()
    login = asyncio.ensure_future(world.accounts.stored("ann"))
    await world.is_asked.wait()
    login.cancel()
    await asyncio.sleep(0)
    world.go.set()
    await world.ask("ann")
    assert world.connected == world.open == ["a:1"]
