"""The object graph: the one file that knows everyone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, final

import uvloop

from proxy import __version__
from proxy.admin.http import make_app
from proxy.admin.serving import AdminServer
from proxy.errors import ConfigError
from proxy.freshness.ledger import ALL_RULES
from proxy.freshness.rules import Rules
from proxy.observe.export import Exporter
from proxy.observe.logs import Logger, configure, reopen
from proxy.runtime.bus.opening import make_bus, name_bus
from proxy.runtime.bus.seam import Bus
from proxy.runtime.engine import NewEngine
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.gauges import ServiceGauges
from proxy.runtime.label import Label
from proxy.runtime.listener import listen
from proxy.runtime.local_socket import LocalSocket
from proxy.runtime.ports import bind, bind_local
from proxy.runtime.seat import ALONE, Seat, Words
from proxy.runtime.security import make_security
from proxy.runtime.service import GroupService
from proxy.settings import ServerGroup, Settings, secrets
from proxy.settings.changes import differences
from proxy.settings.values import Address, Engine, Fencing

log = Logger("app")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@final
class Application:
    """A running Tidegate. `start` raises before any port is open if something is wrong.

    Args:
        settings: Validated.
        rules: All on, except in tests.
        seat: Where this process is one of several: another then answers operators.
    """

    def __init__(self, settings: Settings, rules: Rules = ALL_RULES, seat: Seat = ALONE) -> None:
        self.settings = settings
        self.services: dict[str, GroupService] = {}
        self.exporter = Exporter(__version__)
        self.readiness: dict[str, ServiceGauges] = {}
        self._rules = rules
        self._seat = seat
        self._sockets: list[socket.socket] = []
        self._local: list[LocalSocket] = []
        self._listeners: list[asyncio.Server] = []
        self._buses: list[tuple[Bus, set[Address]]] = []  # and before which servers
        self._admin: AdminServer | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Read what must be read, look at the servers, then open the ports.

        Raises:
            ConfigError: A file that the settings name is not what it should be.
            CannotListen: A port can't be opened.
        """
        groups = self.settings.server_groups
        security = {name: make_security(group) for name, group in groups.items()}
        for name, group in groups.items():
            service = GroupService(
                group, security[name], _engine(group.engine), self._rules, await self._join(group)
            )
            service.mirrors.find = self.services.get
            service.sit_down(self._seat.number, self._seat.count)
            service.pass_on = partial(self._seat.pass_on, name)
            gauges = ServiceGauges(service)
            self.exporter.add(service.metrics, gauges)
            self.readiness[name] = gauges
            self.services[name] = service
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _join(self, group: ServerGroup) -> Fellowship | None:
        """Find the bus for a group. Two before the same servers are members who hear each other."""
        settings, otherwise = self.settings.fleet, self._seat.bus_url
        name = settings.name
        process = f"{socket.gethostname()}:{os.getpid()}"
        label = Label(process, name, name_bus(settings, otherwise))
        settles = settings.fencing_margin if settings.fencing is Fencing.LEASE else None
        named = partial(self._seat.named, group.name)
        for bus, servers in self._buses:
            if servers.isdisjoint(group.servers):
                servers |= set(group.servers)
                return Fellowship(name, label, bus, named, settles)
        new = make_bus(settings, otherwise)
        if new is None:
            return None
        await new.open()
        self._buses.append((new, set(group.servers)))
        self.exporter.buses.append(new.counts)
        return Fellowship(name, label, new, named, settles)

    async def _open(self) -> None:
        address = self.settings.admin.listen
        is_alone = self._seat.is_alone
        admin_sockets = await self._bind("admin.listen", address) if is_alone else []
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
        if is_alone:
            app = make_app(self.exporter.render, self.readiness, lambda: self._is_stopping)
            self._admin = AdminServer(app)
            await self._admin.start(admin_sockets)
            log.info("admin listening", address=str(address))

    async def _bind(self, setting: str, address: Address) -> list[socket.socket]:
        taken = await bind(setting, address, is_shared=not self._seat.is_alone)
        self._sockets += taken
        return taken

    async def _bind_group(self, name: str, settings: ServerGroup) -> list[socket.socket]:
        where = f"server_groups.{name}"
        taken = await self._bind(f"{where}.listen", settings.listen)
        if not self._seat.is_alone:
            shared = self._seat.local.get(name)
            return taken if shared is None else [*taken, shared]
        if settings.unix_socket is not None:
            local = bind_local(
                f"{where}.unix_socket_dir", settings.unix_socket, settings.unix_socket_mode
            )
            self._local.append(local)
            self._sockets.append(local.socket)
            taken.append(local.socket)
        return taken

    def hear(self, group: str, words: Words) -> None:
        """Take what another process of this host says of a server group."""
        service = self.services.get(group)
        if service is not None:
            service.engine.hear(words)

    def bury(self, group: str, member: str) -> None:
        """Take it that another process of this host has ended, which was a member of a fleet."""
        service = self.services.get(group)
        if service is not None and service.member is not None:
            service.member.bury(member)

    def follow(self, settings: Settings) -> None:
        """Take from another configuration what may change while clients are there."""
        for name, group in settings.server_groups.items():
            service = self.services.get(name)
            if service is not None:
                service.follow(group)

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
        if self._admin is not None:
            await self._admin.close()


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
    others = differences(application.settings, settings)
    log.info("the configuration was read again", needs_a_restart=", ".join(others) or None)


def _reopen_log(destination: str) -> None:
    """Somebody has moved the log file away, and waits for it to be let go."""
    reopen()
    log.info("SIGUSR1: the log goes on", destination=destination)


def _engine(engine: Engine) -> NewEngine:
    """Find who makes an engine; what only the others need is not loaded."""
    if engine is Engine.POSTGRES:
        from proxy.runtime.postgres.engine import PostgresEngine

        return PostgresEngine
    from proxy.runtime.mysql.engine import MySQLEngine

    return MySQLEngine


def tame_collector(settings: Settings) -> None:
    """Keep the garbage collector from walking what lives as long as the process.

    A full collection over a filled cache stops everything for 0.1 s, and finds nothing: entries
    hold no cycles. What serves the settings is loaded before, as it lives as long.
    """
    for group in settings.server_groups.values():
        _engine(group.engine)
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
    tame_collector(settings)
    uvloop.run(_serve(settings, read_again))
    return 0
