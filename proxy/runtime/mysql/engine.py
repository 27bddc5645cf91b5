"""What the shell asks of MySQL and MariaDB."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast, final

from proxy.engines.mysql.dialect import MySQLDialect
from proxy.engines.mysql.grammar import MySQLGrammar
from proxy.engines.mysql.places import MySQLPlaces
from proxy.engines.mysql.settings import NOWHERE
from proxy.engines.mysql.traces import MySQLTraces
from proxy.errors import ClientVisibleError
from proxy.routing.reading import Reader
from proxy.routing.terms import Policy
from proxy.runtime import engine
from proxy.runtime.engine import Changes, Confirm, Hearer, Visit
from proxy.runtime.mysql.accounts import FAILURES, Accounts
from proxy.runtime.mysql.answers import Answers
from proxy.runtime.mysql.client import LARGEST, MySQLClient
from proxy.runtime.mysql.logins import Logins
from proxy.runtime.mysql.opening import OURS, MySQLTongue, open_connection, say
from proxy.runtime.mysql.stream import open_changes
from proxy.runtime.pools import Pool
from proxy.runtime.seat import Words
from proxy.runtime.server import Address, ServerConnection
from proxy.runtime.service import GroupService
from proxy.session.profile import Profile
from proxy.settings.model import ServerGroup
from proxy.settings.values import LOCAL
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql.interpreter import ServerInterpreter
from proxy.topology.group import Group
from proxy.topology.gtid_history import GtidHistory
from proxy.topology.mysql_catalogs import MySQLDefinitions
from proxy.topology.mysql_views import open_mysql_views
from proxy.topology.mysql_witness import mysql_opener, reached_in_mariadb, reached_in_mysql
from proxy.topology.witness import Control
from proxy.types import Position
from proxy.wire.mysql.client_engine import ClientEngine
from proxy.wire.mysql.credentials import Credentials
from proxy.wire.mysql.exchange import Exchange
from proxy.wire.mysql.killing import Kill
from proxy.wire.mysql.login import Wish
from proxy.wire.mysql.ok import read_error
from proxy.wire.mysql.prepared import Library
from proxy.wire.mysql.resultset import UTF8MB4

_READ_ONLY: Final = (1290, 1836, 3100)
"""Server Error Message Reference: --read-only or --super-read-only; read-only mode; a hook of
group replication."""

_NEVER: Final = b"SELECT 1 FROM DUAL WHERE FALSE"


@final
class MySQLEngine(engine.Engine):
    """See the base, and `engine.NewEngine`."""

    tells_gtids = True

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        incarnation: str,
        clock: Callable[[], float],
        changed: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._name = f"tidegate/{incarnation}".encode()
        self._history = GtidHistory(group.servers)
        self.tongue = MySQLTongue()
        self.dialect = MySQLDialect(self._reached, self._history)
        self.grammar = MySQLGrammar()
        self.traces = MySQLTraces()
        self.places = MySQLPlaces(self._history)
        self.open_link = mysql_opener(self._history)
        self.open_views = open_mysql_views
        self.tells_positions = False  # each member numbers generations by itself
        self.accounts = Accounts(settings, control, group, changed)
        self.definitions = MySQLDefinitions(control, ServerInterpreter())
        self.service: GroupService
        self.logins: Logins

    def serve(self, service: GroupService) -> None:
        """See the base."""
        self.service = service
        self.logins = Logins(self._settings, service.security, self.accounts, service)

    def new_library(
        self, generation: Callable[[], int], is_momentary: Callable[[bytes], bool]
    ) -> Library:
        """See the base."""
        return Library(generation, is_momentary)

    def new_reader(self) -> Reader:
        """See the base."""
        return Reader(language=MySQLLanguage())

    def new_client(self, *, is_local: bool) -> MySQLClient:
        """See the base."""
        return MySQLClient(self.service, self.logins, is_local)

    async def visit(self, database: str, policy: Policy) -> Visit:
        """See the base: it is in no schema yet."""
        settings = self._settings
        password = settings.auth_password
        secret = b"" if password is None else password.get_secret_value().encode()
        await self.logins.servers()
        profile = await self.logins.profile(
            settings.auth_user, "", UTF8MB4, OURS, Credentials(secret), LOCAL, policy
        )
        engine = ClientEngine(cast(Library, self.service.library), OURS, LARGEST)
        return Visit(engine, profile, Answers(OURS))

    async def open(
        self, address: Address, user: str, database: str, confirm: Confirm
    ) -> ServerConnection:
        """See the base. The database of a pool is what its clients' connections can do, and whether
        they are in no schema."""
        wish = Wish(
            user=user.encode("utf-8", "surrogateescape"),
            capabilities=OURS | int(database.removesuffix(NOWHERE), 16),
            attributes={b"program_name": self._name},
        )
        credentials = self.accounts.credentials(user)
        connection = await open_connection(address, wish, credentials, confirm)
        cast(Exchange, connection.exchange).is_nowhere = database.endswith(NOWHERE)
        return connection

    async def follow(
        self, address: Address, database: str, hearer: Hearer, *, limit: int
    ) -> Changes:
        """See the base. A log is kept for nobody, so there is no limit to be held."""
        settings = self._settings
        password = settings.auth_password
        secret = b"" if password is None else password.get_secret_value().encode()
        wish = Wish(
            user=settings.auth_user.encode("utf-8", "surrogateescape"),
            capabilities=OURS,
            attributes={b"program_name": self._name},
        )
        return await open_changes(address, wish, Credentials(secret), hearer)

    async def cancel(self, connection: ServerConnection, within: float) -> None:
        """See the base: in the user's own name, who may end what is theirs, whatever they are.

        The control user may not end what a user with SYSTEM_USER runs, on MySQL; but it can log in
        where of the user's password only a part is known.
        """
        statement = f"KILL QUERY {connection.pid}"
        user = cast(Pool, connection.pool).user
        wish = Wish(user=user.encode("utf-8", "surrogateescape"), capabilities=OURS)
        with contextlib.suppress(TimeoutError, *FAILURES):
            async with asyncio.timeout(within):
                try:
                    credentials = self.accounts.credentials(user)
                    await say(connection.address, wish, credentials, statement.encode())
                except ClientVisibleError:
                    await self.accounts.execute(connection.server, statement)

    def pool_of(self, profile: Profile) -> str:
        """See the base."""
        flavour = profile.protocol.rpartition("/")[2]
        return flavour if profile.scope.search_path else flavour + NOWHERE

    def is_read_only(self, error: bytes) -> bool:
        """See the base."""
        return read_error(error).code in _READ_ONLY

    def vacate(self, database: str, role: str) -> None:
        """See the base: nobody has to leave a schema."""

    def sit_down(self, number: int, count: int) -> None:
        """See the base."""
        self.logins.sit_down(number, count)

    def hear(self, words: Words) -> None:
        """See the base: a client has said KILL, and the number may be of one of ours."""
        match words:
            case ("kill", int(number), bool(is_query), str(user)):
                self.logins.kill(Kill(number, is_query), user)

    def forget(self) -> None:
        """See the base."""
        self.logins.forget()

    def close(self) -> None:
        """See the base."""
        self.accounts.close()

    def _reached(self, position: Position, patience: float) -> bytes:
        """SQL with one row if a replica has replayed a position, and none otherwise."""
        contents = self._history.contents(position)
        if contents is None:
            return _NEVER
        is_mysql = any("-" in key for key in contents.intervals)
        question = reached_in_mysql if is_mysql else reached_in_mariadb
        return question(contents, patience).encode()
