"""Keeps several workers running that look like one process.

It has no clients and no database: it holds the ports for its workers, starts them, starts those
again that die, passes on what it is told, and answers operators for all of them. What is decided
is in `roster`, `shares`, `sums` and `readiness`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, final

import uvloop

from proxy.admin.http import make_asking_app
from proxy.admin.serving import AdminServer
from proxy.errors import ConfigError
from proxy.observe.logs import Logger, configure, reopen
from proxy.runtime.local_socket import LocalSocket
from proxy.runtime.ports import bind, bind_local, hold
from proxy.settings import Settings, secrets
from proxy.settings.changes import differences
from proxy.workers.host import Host
from proxy.workers.messages import (
    Ask,
    Beat,
    Channel,
    Dead,
    Elsewhere,
    Follow,
    Named,
    Orders,
    Ready,
    ReopenLog,
    Told,
)
from proxy.workers.roster import HANGS, Roster, State
from proxy.workers.shares import divide, rounded_up

log = Logger("supervisor")

TICK: Final = 0.25
"""Seconds between two looks at what is due."""

GOODBYE: Final = 10.0
"""Seconds that workers have to end, once they are told to."""

DEAD: Final = 64
"""Of how many members that were workers it is told to new workers that they are dead."""

MISTAKE: Final = 1


@final
class Supervised:
    """One worker process."""

    def __init__(self, number: int, process: Process, channel: Channel) -> None:
        self.number = number
        self.process = process
        self.channel = channel
        self.members: list[Named] = []  # that it has been, of fleets
        self._questions = count(1)
        self._asked: dict[int, asyncio.Future[Told | None]] = {}

    async def ask(self) -> Told | None:
        """Ask how it is; None: it has ended."""
        question = next(self._questions)
        answer: asyncio.Future[Told | None] = asyncio.get_running_loop().create_future()
        self._asked[question] = answer
        self.channel.send(Ask(question))
        try:
            return await answer
        finally:
            del self._asked[question]

    def told(self, answer: Told) -> None:
        """It has answered, perhaps too late."""
        waiting = self._asked.get(answer.question)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def ended(self) -> None:
        """It will not answer any more."""
        self.channel.close()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_result(None)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; to who has ended, in vain."""
        if self.process.returncode is None:
            self.process.send_signal(number)


@final
class Supervisor:
    """See the module.

    Args:
        settings: Of the host, validated.
        read_again: Reads them anew when somebody asks for that.
        hangs: Seconds of silence after which a worker is killed.
    """

    def __init__(
        self, settings: Settings, read_again: Callable[[], Settings], hangs: float
    ) -> None:
        self._settings = settings
        self._followed: Settings | None = None
        self._read_again = read_again
        self._roster = Roster(settings.workers, hangs)
        self._workers: dict[int, Supervised] = {}
        self._dead: deque[Named] = deque(maxlen=DEAD)
        self._attending: set[asyncio.Task[None]] = set()
        self._host = Host(self._roster, self._workers, lambda: self._is_stopping)
        self._held: list[socket.socket] = []
        self._local: dict[str, LocalSocket] = {}
        self._folder = ""
        self._is_stopping = False
        self._is_impatient = asyncio.Event()
        self._wake = asyncio.Event()
        self._status = 0
        self._first_failure = MISTAKE  # the status of a worker that could not start

    async def run(self) -> int:
        """Serve until told to stop; returns the exit status.

        Raises:
            CannotListen: A port can't be opened; no worker was started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_log)
        admin = AdminServer(make_asking_app(self._host.metrics, self._host.ready))
        self._folder = tempfile.mkdtemp(prefix="tidegate-")  # for nobody else (0700)
        try:
            sockets = await self._open()
            log.info("starting workers", count=self._settings.workers, folder=self._folder)
            for note in rounded_up(self._settings, self._settings.workers):
                log.warning("a limit is exceeded by the workers together", limit=note)
            await admin.start(sockets)
            log.info("admin listening", address=str(self._settings.admin.listen))
            await self._look_after()
            await self._end_all()
        finally:
            await admin.close()
            self._close()
        return self._status

    # Ports

    async def _open(self) -> list[socket.socket]:
        """Take all ports, and listen for operators; returns those sockets."""
        address = self._settings.admin.listen
        sockets = await bind("admin.listen", address)
        self._held += sockets
        for name, group in self._settings.server_groups.items():
            where = f"server_groups.{name}"
            self._held += await hold(f"{where}.listen", group.listen)
            if group.unix_socket is not None:
                self._local[name] = bind_local(
                    f"{where}.unix_socket_dir", group.unix_socket, group.unix_socket_mode
                )
        return sockets

    def _close(self) -> None:
        for local in self._local.values():
            local.remove()
            local.socket.close()
        for held in self._held:
            held.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # Workers

    async def _look_after(self) -> None:
        """Start who is due, kill who hangs, until it is enough."""
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            self._wake.clear()
            if self._roster.is_hopeless:
                log.error("no worker came up: giving up")
                self._status = MISTAKE if self._roster.was_ready else self._first_failure
                return
            for number in self._roster.hanging(loop.time()):
                self._kill_hanging(number)
            for number in self._roster.due(loop.time()):
                await self._start(number)
            try:
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _start(self, number: int) -> None:
        self._roster.started(number, asyncio.get_running_loop().time())
        ours, theirs = socket.socketpair()
        local = {name: each.socket.fileno() for name, each in self._local.items()}
        files = (theirs.fileno(), *local.values())
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(number, theirs.fileno()),
                stdin=DEVNULL,
                env=_environment(),
                pass_fds=files,
                start_new_session=True,  # what a terminal sends is for us
            )
        except OSError as error:
            ours.close()
            log.error("a worker can't be started", worker=number, error=error)
            self._roster.ended(number, asyncio.get_running_loop().time())
            return
        finally:
            theirs.close()
        channel = await Channel.open(ours)
        worker = self._workers[number] = Supervised(number, process, channel)
        channel.send(self._orders(number, local))
        task = asyncio.create_task(self._attend(worker))
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)

    def _orders(self, number: int, local: dict[str, int]) -> Orders:
        followed = self._followed
        return Orders(
            number=number,
            count=self._settings.workers,
            settings=self._share(self._settings, number),
            followed=None if followed is None else self._share(followed, number),
            folder=self._folder,
            bus_url=f"unix://{self._folder}",
            local=local,
            dead=tuple(self._dead),
        )

    def _share(self, settings: Settings, number: int) -> Settings:
        return divide(settings, number, self._settings.workers)

    async def _attend(self, worker: Supervised) -> None:
        """Hear a worker, and see to what is left when it has ended."""
        clock, number = asyncio.get_running_loop().time, worker.number
        try:
            await self._hear(worker)
        except Exception as error:
            log.exception("what a worker said is not understood", error, worker=number)
            worker.signal(signal.SIGKILL)
        status = await worker.process.wait()
        self._roster.ended(number, clock())
        del self._workers[number]
        worker.ended()
        if self._is_stopping:
            return
        self._host.ended(number)
        self._dead += worker.members
        for other in self._workers.values():
            other.channel.send(Dead(tuple(worker.members)))
        if status > 0:
            self._first_failure = status
        pause = self._roster.slots[number].due - clock()
        log.warning(
            "a worker has ended",
            worker=number,
            pid=worker.process.pid,
            why=_why(status),
            again_in=round(max(0.0, pause), 2),
        )
        self._wake.set()

    async def _hear(self, worker: Supervised) -> None:
        clock, number = asyncio.get_running_loop().time, worker.number
        while (message := await worker.channel.receive()) is not None:
            self._roster.heard(number, clock())
            match message:
                case Beat():
                    pass
                case Ready():
                    self._roster.ready(number, clock())
                    log.info("a worker is ready", worker=number, pid=worker.process.pid)
                case Told():
                    worker.told(message)
                case Named():
                    worker.members.append(message)
                case Elsewhere():
                    for other in self._others(worker):
                        other.channel.send(message)

    def _others(self, worker: Supervised) -> Iterator[Supervised]:
        for number, other in self._workers.items():
            if other is not worker and self._roster.slots[number].state is State.UP:
                yield other

    def _kill_hanging(self, number: int) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            log.error("a worker hangs, and is killed", worker=number, pid=worker.process.pid)
            worker.signal(signal.SIGKILL)

    # The end

    async def _end_all(self) -> None:
        """Have all workers say goodbye; who takes too long is killed."""
        self._is_stopping = True
        for worker in list(self._workers.values()):
            worker.signal(signal.SIGTERM)
        ends = asyncio.gather(*self._attending)
        impatient = asyncio.ensure_future(self._is_impatient.wait())
        await asyncio.wait((ends, impatient), timeout=GOODBYE, return_when="FIRST_COMPLETED")
        impatient.cancel()
        if not ends.done():
            self._status = MISTAKE
            log.warning("workers are killed", count=len(self._workers))
            for worker in list(self._workers.values()):
                worker.signal(signal.SIGKILL)
        await ends

    # Signals

    def _told_to_stop(self) -> None:
        if self._is_stopping:
            self._is_impatient.set()
            return
        log.info("stopping")
        self._is_stopping = True
        self._wake.set()

    def _hang_up(self) -> None:
        """See `proxy.app`: all workers follow, and those that are started later."""
        try:
            settings = self._read_again()
        except ConfigError as error:
            for problem in error.problems:
                log.error(
                    "SIGHUP: the configuration is wrong, and changes nothing", problem=problem
                )
            return
        self._followed = settings
        for number, worker in self._workers.items():
            worker.channel.send(Follow(self._share(settings, number)))
        others = differences(self._settings, settings)
        log.info("the configuration was read again", needs_a_restart=", ".join(others) or None)

    def _reopen_log(self) -> None:
        reopen()
        for worker in self._workers.values():
            worker.channel.send(ReopenLog())
        log.info("SIGUSR1: the log goes on", destination=self._settings.log.destination)


def _command(number: int, file: int) -> list[str]:
    # Not from the folder we happen to be in (-P): it may hold modules by the same names.
    return [sys.executable, "-P", "-m", "proxy.workers.worker", str(number), str(file)]


def _environment() -> dict[str, str]:
    """Have workers find the modules where we do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _why(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def run(settings: Settings, read_again: Callable[[], Settings], hangs: float = HANGS) -> int:
    """Serve by several workers until told to stop; returns the exit status.

    Args:
        settings: Validated.
        read_again: Reads them anew when somebody asks for that.
        hangs: Seconds of silence after which a worker is killed.
    """
    configure(settings.log, secrets(settings))
    return uvloop.run(Supervisor(settings, read_again, hangs).run())
