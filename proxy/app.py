"""The object graph: the one file that knows everyone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import fields
from typing import Final, final

import uvicorn
import uvloop

from proxy import __version__
from proxy.admin.http import make_app
from proxy.errors import ConfigError
from proxy.freshness.ledger import ALL_RULES
from proxy.freshness.rules import Rules
from proxy.observe.export import Exporter
from proxy.observe.logs import Logger, configure, reopen
from proxy.runtime.bus.opening import make_bus
from proxy.runtime.bus.seam import Bus
from proxy.runtime.engine import NewEngine
from proxy.runtime.gauges import ServiceGauges
from proxy.runtime.listener import bind, bind_local, listen
from proxy.runtime.local_socket import LocalSocket
from proxy.runtime.membership import Fellowship
from proxy.runtime.mysql.engine import MySQLEngine
from proxy.runtime.postgres.engine import PostgresEngine
from proxy.runtime.security import make_security
from proxy.runtime.service import GroupService
from proxy.settings import ServerGroup, Settings, secrets
from proxy.settings.values import Address, Engine

log = Logger("app")

FOLLOWED: Final = frozenset(("rules", "consistency", "max_staleness", "audit", "audit_per_second"))
"""Settings of a server group that count as soon as they are read again."""

_ENGINES: Final[dict[Engine, NewEngine]] = {
    Engine.POSTGRES: PostgresEngine,
    Engine.MYSQL: MySQLEngine,
}

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@final
class Application:
    """A running Tidegate. `start` raises before any port is open if something is wrong.

    Args:
        settings: Validated.
        rules: All on, except in tests.
    """

    def __init__(self, settings: Settings, rules: Rules = ALL_RULES) -> None:
        self.settings = settings
        self.services: dict[str, GroupService] = {}
        self.exporter = Exporter(__version__)
        self._rules = rules
        self._sockets: list[socket.socket] = []
        self._local: list[LocalSocket] = []
        self._listeners: list[asyncio.Server] = []
        self._admin: uvicorn.Server | None = None
        self._admin_task: asyncio.Task[None] | None = None
        self._buses: list[tuple[Bus, set[Address]]] = []  # and before which servers
        self._is_stopping = False

    async def start(self) -> None:
        """Read what must be read, look at the servers, then open the ports.

        Raises:
            ConfigError: A file that the settings name is not what it should be.
            CannotListen: A port can't be opened.
        """
        groups = self.settings.server_groups
        security = {name: make_security(group) for name, group in groups.items()}
        readiness = {}
        for name, group in groups.items():
            service = GroupService(
                group, security[name], _ENGINES[group.engine], self._rules, await self._join(group)
            )
            service.mirrors.find = self.services.get
            gauges = ServiceGauges(service)
            self.exporter.add(service.metrics, gauges)
            readiness[name] = gauges
            self.services[name] = service
        try:
            await self._open(readiness)
        except BaseException:
            await self.close()
            raise

    async def _join(self, group: ServerGroup) -> Fellowship | None:
        """Find the bus for a group. Two before the same servers are members who hear each other."""
        label = f"{socket.gethostname()}:{os.getpid()}"
        name = self.settings.fleet.name
        for bus, servers in self._buses:
            if servers.isdisjoint(group.servers):
                servers |= set(group.servers)
                return Fellowship(name, label, bus)
        new = make_bus(self.settings.fleet)
        if new is None:
            return None
        await new.open()
        self._buses.append((new, set(group.servers)))
        self.exporter.buses.append(new.counts)
        return Fellowship(name, label, new)

    async def _open(self, readiness: dict[str, ServiceGauges]) -> None:
        address = self.settings.admin.listen
        admin_sockets = await self._bind("admin.listen", address)
        sockets = {
            service: await self._bind_group(name, service.settings)
            for name, service in self.services.items()
        }
        for service, taken in sockets.items():
            settings = service.settings
            service.start()
            self._listeners += [await listen(service, one) for one in taken]
            log.info(
                "listening",
                group=settings.name,
                address=str(settings.listen),
                unix_socket=settings.unix_socket,
            )
        self._admin = uvicorn.Server(
            uvicorn.Config(
                make_app(self.exporter.render, readiness, lambda: self._is_stopping),
                log_config=None,
                access_log=False,
                lifespan="off",
            )
        )
        config = self._admin.config
        config.load()
        self._admin.lifespan = config.lifespan_class(config)
        await self._admin.startup(sockets=admin_sockets)
        self._admin_task = asyncio.get_running_loop().create_task(self._admin.main_loop())
        log.info("admin listening", address=str(address))

    async def _bind(self, setting: str, address: Address) -> list[socket.socket]:
        taken = await bind(setting, address)
        self._sockets += taken
        return taken

    async def _bind_group(self, name: str, settings: ServerGroup) -> list[socket.socket]:
        where = f"server_groups.{name}"
        taken = await self._bind(f"{where}.listen", settings.listen)
        if settings.unix_socket is not None:
            local = bind_local(
                f"{where}.unix_socket_dir", settings.unix_socket, settings.unix_socket_mode
            )
            self._local.append(local)
            self._sockets.append(local.socket)
            taken.append(local.socket)
        return taken

    def follow(self, settings: Settings) -> None:
        """Take from another configuration what may change while clients are there."""
        for name, group in settings.server_groups.items():
            service = self.services.get(name)
            if service is not None:
                service.follow(group)
        others = _differences(self.settings, settings)
        log.info("the configuration was read again", needs_a_restart=", ".join(others) or None)

    async def close(self) -> None:
        """Take no more clients, let go of those there are, and of the servers."""
        self._is_stopping = True
        for local in self._local:
            local.remove()  # before a port is free: who takes that next makes a file of its own
        for listener in self._listeners:
            listener.close()
        for taken in self._sockets:
            taken.close()
        for service in self.services.values():
            service.mirrors.close()
        for service in self.services.values():
            await service.close()
        for bus, _ in self._buses:
            await bus.close()
        if self._admin is not None and self._admin_task is not None:
            self._admin.should_exit = True
            await self._admin_task
            await self._admin.shutdown()


def _differences(running: Settings, wanted: Settings) -> list[str]:
    """Name the settings that another configuration has otherwise, to no effect."""
    found = [
        name
        for name in ("fleet", "admin", "log")
        if getattr(running, name) != getattr(wanted, name)
    ]
    groups, others = running.server_groups, wanted.server_groups
    for name in sorted({*groups, *others}):
        if name not in groups or name not in others:
            found.append(f"server_groups.{name}")
            continue
        found += [
            f"server_groups.{name}.{each.name}"
            for each in fields(groups[name])
            if each.name not in FOLLOWED
            and getattr(groups[name], each.name) != getattr(others[name], each.name)
        ]
    return found


async def _serve(settings: Settings, read_again: Callable[[], Settings]) -> None:
    application = Application(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _hang_up, application, read_again)
    loop.add_signal_handler(signal.SIGUSR1, _reopen_log, settings.log.destination)
    await application.start()
    await stop.wait()
    log.info("stopping")
    await application.close()


def _hang_up(application: Application, read_again: Callable[[], Settings]) -> None:
    """A terminal has gone, or somebody wants the file to be read again: neither is an end."""
    try:
        settings = read_again()
    except ConfigError as error:
        for problem in error.problems:
            log.error("SIGHUP: the configuration is wrong, and changes nothing", problem=problem)
        return
    application.follow(settings)


def _reopen_log(destination: str) -> None:
    """Somebody has moved the log file away, and waits for it to be let go."""
    reopen()
    log.info("SIGUSR1: the log goes on", destination=destination)


def _tame_collector() -> None:
    """Keep the garbage collector from walking what lives as long as the process.

    A full collection over a filled cache stops everything for 0.1 s, and finds nothing: entries
    hold no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1_000)


def run(settings: Settings, read_again: Callable[[], Settings]) -> int:
    """Serve until told to stop; returns the exit status.

    Args:
        settings: Validated.
        read_again: Reads them anew when somebody asks for that.
    """
    configure(settings.log, secrets(settings))
    _tame_collector()
    uvloop.run(_serve(settings, read_again))
    return 0
