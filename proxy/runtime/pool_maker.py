"""How a pool is made: its limits, and how a connection of it is opened."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import final

from proxy.errors import ServerRefused
from proxy.freshness.replica import ConnectionPosition
from proxy.pool.book import Limits
from proxy.runtime.engine import Engine
from proxy.runtime.keepalive import limit_delivery, set_keepalive
from proxy.runtime.membership import Membership
from proxy.runtime.pools import Pool
from proxy.runtime.security import Security
from proxy.runtime.server import Address, ServerConnection
from proxy.runtime.watcher import GroupWatcher
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server


@final
class PoolMaker:
    """See the module.

    Args:
        settings: Of the group.
        security: TLS to the servers.
        group: Whose servers they are.
        engine: Opens connections.
        watcher: Confirms what was opened, and hears of servers that can't be reached.
        is_meant: Tells if a database's name leads to this one (its oid) on the primary.
        member: Of a fleet, which has connections to the primary written down.
    """

    __slots__ = (
        "_engine",
        "_group",
        "_is_meant",
        "_member",
        "_refusals",
        "_security",
        "_settings",
        "_watcher",
    )

    def __init__(
        self,
        settings: ServerGroup,
        security: Security,
        group: Group,
        engine: Engine,
        watcher: GroupWatcher,
        is_meant: Callable[[str, int], bool],
        member: Membership | None,
    ) -> None:
        self._settings = settings
        self._security = security
        self._group = group
        self._engine = engine
        self._watcher = watcher
        self._is_meant = is_meant
        self._member = member
        self._refusals: dict[str, str] = {}

    def address(self, server: Server) -> Address:
        """Say how a server is reached."""
        settings = self._settings
        return Address(
            server=server,
            tongue=self._engine.tongue,
            tls=self._security.servers,
            sslmode=settings.server_tls_sslmode.value,
            timeout=settings.server_connect_timeout,
            max_prepared=max(1, settings.max_prepared_statements),
            metrics=self._watcher.metrics.server(server.name),
        )

    def make(self, server: Server, user: str, database: str) -> Pool:
        """Make the pool of one user and database on one server."""
        address = self.address(server)

        async def opener() -> ServerConnection:
            confirm = self._watcher.witnesses[server].confirm
            connection = await self._engine.open(address, user, database, confirm)
            if connection.transport is not None:
                set_keepalive(connection.transport, self._settings)
                if self._member is not None and self._member.settles is not None:
                    limit_delivery(connection.transport, self._member.settles)
            if self._member is not None and self._may_write(connection):
                try:
                    await self._member.admit(connection)
                except BaseException:
                    connection.abort("not admitted")
                    raise
            if server is not self._group.primary:
                watermark = self._watcher.router.watermark(server)
                connection.position = ConnectionPosition(watermark, connection.opened_at)
            connection.share = 0.9 + 0.2 * secrets.SystemRandom().random()
            connection.pool = pool
            if server is not self._group.primary and not self._is_meant(
                database, connection.facts.database
            ):
                connection.close()
                text = f'server {server.name} has another database by the name "{database}"'
                raise ServerRefused(text)
            return connection

        def unreachable(server: Server, error: str, is_full: bool) -> None:
            pool.patient = server is self._group.primary
            if not pool.patient and not is_full:
                self._watcher.ban(server, error)

        pool = Pool(
            server,
            user,
            database,
            self._limits(user),
            opener,
            self._settings.server_login_retry,
            unreachable,
            self._refusals,
        )
        return pool

    def _may_write(self, connection: ServerConnection) -> bool:
        return connection.server is self._group.primary or not connection.facts.recovering

    def _limits(self, user: str) -> Limits:
        settings = self._settings
        return Limits(
            size=settings.pool_size_of(user),
            minimum=settings.min_pool_size_of(user),
            reserve=settings.reserve_pool_size,
            reserve_after=settings.reserve_pool_timeout,
            wait_timeout=settings.query_wait_timeout,
            idle_timeout=settings.server_idle_timeout or float("inf"),
            lifetime=settings.server_lifetime or float("inf"),
        )
