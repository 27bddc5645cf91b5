"""What the shell asks of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast, final

from proxy.engines.postgres.dialect import PostgresDialect
from proxy.engines.postgres.grammar import PostgresGrammar
from proxy.engines.postgres.places import PostgresPlaces
from proxy.engines.postgres.traces import PostgresTraces
from proxy.routing.reading import Reader
from proxy.routing.terms import Policy
from proxy.runtime import engine
from proxy.runtime.engine import Confirm, Hearer, Visit
from proxy.runtime.postgres.accounts import Accounts
from proxy.runtime.postgres.client import PostgresClient
from proxy.runtime.postgres.logins import Logins
from proxy.runtime.postgres.opening import PostgresTongue, open_connection, send_cancel
from proxy.runtime.postgres.stream import PostgresChanges, open_changes
from proxy.runtime.postgres.vacating import Vacating
from proxy.runtime.postgres.welcome import Welcomes
from proxy.runtime.seat import Words
from proxy.runtime.server import Address, ServerConnection
from proxy.runtime.service import GroupService
from proxy.session.profile import Profile
from proxy.settings.model import ServerGroup
from proxy.settings.values import LOCAL
from proxy.topology.group import Group
from proxy.topology.postgres_catalogs import PostgresDefinitions, declarations_of
from proxy.topology.postgres_views import open_postgres_views
from proxy.topology.witness import Control, open_postgres
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.credentials import Credentials
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.packets import V3_0, CancelRequest
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.startup import Replication, Startup


@final
class _Answers:
    """See `proxy.runtime.engine.Answers`."""

    def __init__(self) -> None:
        self._framer = Framer(_ENDS)

    def ask(self, data: bytes) -> None:
        """See the base: each of its answers ends by itself."""

    def feed(self, data: bytes) -> list[int | None]:
        """An ErrorResponse, or a ReadyForQuery with a status."""
        passed = self._framer.feed(data)
        return [
            None if tag == tags.ERROR_RESPONSE else passed[start + _STATUS]
            for tag, start, _ in self._framer.found
        ]


_ENDS: Final = watch(b"ZE")
_STATUS: Final = 5


@final
class PostgresEngine(engine.Engine):
    """See the base.

    Args:
        settings: Of the group.
        control: How control connections are made.
        group: Whose servers they are.
        incarnation: Of this proxy: part of the name under which it logs in.
        clock: Seconds.
        changed: Is told of a user with another password, or of another user.
    """

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
        self._control = control
        self._group = group
        self._name = f"tidegate/{incarnation}".encode()
        self.tongue = PostgresTongue()
        self.dialect = PostgresDialect()
        self.grammar = PostgresGrammar()
        self.traces = PostgresTraces(self.dialect)
        self.places = PostgresPlaces(group)
        self.open_link = open_postgres
        self.open_views = open_postgres_views
        self.tells_positions = True  # places in the log
        self.definitions = PostgresDefinitions(control, declarations_of(settings))
        self.accounts = Accounts(settings, control, group, clock, changed)
        self.service: GroupService
        self.welcomes: Welcomes
        self.logins: Logins
        self._vacating: Vacating

    def serve(self, service: GroupService) -> None:
        """See the base."""
        self.service = service
        self.welcomes = Welcomes(service)
        self._vacating = Vacating(self.accounts, service.catalogs, service.pools)
        self.logins = Logins(
            self._settings,
            service.security,
            self.accounts,
            self.welcomes,
            service.planner,
            service.results,
            self.grammar,
            service.metrics,
            service.catalogs.want,
            service.policy,
            service.hand,
        )

    def new_library(
        self, generation: Callable[[], int], is_momentary: Callable[[bytes], bool]
    ) -> Library:
        """See the base."""
        return Library(generation, is_momentary)

    def new_reader(self) -> Reader:
        """See the base."""
        return Reader()

    def new_client(self, *, is_local: bool) -> PostgresClient:
        """See the base."""
        return PostgresClient(self.service, self.logins, is_local)

    async def visit(self, database: str, policy: Policy) -> Visit:
        """See the base."""
        settings = self._settings
        wish = Startup(
            version=V3_0,
            user=settings.auth_user.encode(),
            database=database.encode("utf-8", "surrogateescape"),
            settings={b"application_name": b"tidegate mirror"},
            replication=Replication.NO,
        )
        profile, _ = await self.logins.welcome(
            wish,
            settings.auth_user,
            database,
            self._own_credentials(),
            client=LOCAL,
            policy=policy,
        )
        engine = ClientEngine(cast(Library, self.service.library))
        return Visit(engine, profile, _Answers())

    def _own_credentials(self) -> Credentials:
        password = self._settings.auth_password
        return Credentials(
            password=None if password is None else password.get_secret_value().encode()
        )

    async def open(
        self, address: Address, user: str, database: str, confirm: Confirm
    ) -> ServerConnection:
        """See the base."""
        parameters = {
            b"user": user.encode("utf-8", "surrogateescape"),
            b"database": database.encode("utf-8", "surrogateescape"),
            b"application_name": self._name,
        }
        credentials = self.accounts.credentials(user)
        return await open_connection(address, parameters, credentials, confirm)

    async def follow(
        self, address: Address, database: str, hearer: Hearer, *, limit: int
    ) -> PostgresChanges:
        """See the base."""
        parameters = {
            b"user": self._settings.auth_user.encode("utf-8", "surrogateescape"),
            b"database": database.encode("utf-8", "surrogateescape"),
            b"application_name": self._control.application_name.encode(),
        }
        credentials = self._own_credentials()
        return await open_changes(address, parameters, credentials, self._control, hearer, limit)

    async def cancel(self, connection: ServerConnection, within: float) -> None:
        """See the base."""
        await send_cancel(connection, within)

    def pool_of(self, profile: Profile) -> str:
        """See the base."""
        return profile.database

    def is_read_only(self, error: bytes) -> bool:
        """See the base."""
        return backend.read_error(error).get(backend.SQLSTATE) == b"25006"

    def vacate(self, database: str, role: str) -> None:
        """See the base."""
        self._vacating.wanted(database, role)

    def sit_down(self, number: int, count: int) -> None:
        """See the base: keys are drawn from so many that they differ."""

    def hear(self, words: Words) -> None:
        """See the base: a cancel request came to another port of the same address."""
        match words:
            case ("cancel", int(pid), bytes(secret)):
                self.logins.cancel_by_key(CancelRequest(pid, secret))

    def forget(self) -> None:
        """See the base."""
        self.welcomes.forget()

    def close(self) -> None:
        """See the base."""
        self._vacating.close()
        self.accounts.close()
