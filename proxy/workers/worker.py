"""A worker: a whole proxy, but for the operators' port, told what to do by a supervisor.

Run as `python -m proxy.workers.worker NUMBER FILE`, the file being the number of an open socket.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Final, final

import uvloop

from proxy.app import STOP_SIGNALS, Application, tame_collector
from proxy.errors import ConfigError, ProxyError
from proxy.observe.logs import Logger, configure, reopen
from proxy.runtime.seat import Seat
from proxy.settings import secrets
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
)
from proxy.workers.messages import Told as Answer
from proxy.workers.readiness import Readiness

log = Logger("worker")

BEAT: Final = 1.0
"""Seconds between two signs of life."""

ALONE: Final = 10.0
"""Seconds that a worker whose supervisor is gone has to say goodbye."""

MISTAKE: Final = 1
WRONG_CONFIGURATION: Final = 2


@final
class Worker:
    """See the module.

    Args:
        channel: To the supervisor.
        orders: Heard from there.
    """

    def __init__(self, channel: Channel, orders: Orders) -> None:
        self._channel = channel
        self._orders = orders
        self._stop = asyncio.Event()
        self._is_left_alone = False
        seat = Seat(
            number=orders.number,
            count=orders.count,
            bus_url=orders.bus_url,
            local={name: socket.socket(fileno=file) for name, file in orders.local.items()},
            pass_on=lambda group, words: channel.send(Elsewhere(group, words)),
            named=lambda group, member: channel.send(Named(group, member)),
        )
        self.application = Application(orders.settings, seat=seat)

    async def run(self) -> None:
        """Serve until told to stop, or left alone."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # who wants that asks the supervisor
        loop.add_signal_handler(signal.SIGUSR1, reopen)
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        try:
            await self.application.start()
            self._bury(self._orders.dead)
            if self._orders.followed is not None:
                self.application.follow(self._orders.followed)
            self._channel.send(Ready())
            await self._stop.wait()
            log.info("stopping")
            await self.application.close()
        finally:
            for task in tasks:
                task.cancel()
            self._channel.close()
            if self._is_left_alone:
                shutil.rmtree(self._orders.folder, ignore_errors=True)

    async def _beat(self) -> None:
        while True:
            self._channel.send(Beat())
            await asyncio.sleep(BEAT)

    async def _listen(self) -> None:
        application = self.application
        while (message := await self._channel.receive()) is not None:
            match message:
                case Ask(question):
                    self._channel.send(
                        Answer(question, application.exporter.families(), self._readiness())
                    )
                case Elsewhere(group, words):
                    application.hear(group, words)
                case Dead(members):
                    self._bury(members)
                case Follow(settings):
                    application.follow(settings)
                    log.info("the configuration was read again")
                case ReopenLog():
                    reopen()
        if not self._stop.is_set():
            log.error("the supervisor is gone")
        self._is_left_alone = True
        self._stop.set()
        asyncio.get_running_loop().call_later(ALONE, os._exit, MISTAKE)

    def _bury(self, members: Iterable[Named]) -> None:
        for each in members:
            self.application.bury(each.group, each.member)

    def _readiness(self) -> Readiness:
        groups = self.application.readiness
        return Readiness(
            {name: group.problems() for name, group in groups.items()},
            {name: notes for name, group in groups.items() if (notes := group.notes())},
        )


async def _work(end: socket.socket) -> None:
    channel = await Channel.open(end)
    orders = await channel.receive()
    if not isinstance(orders, Orders):
        return
    configure(orders.settings.log, secrets(orders.settings), worker=orders.number)
    tame_collector(orders.settings)
    await Worker(channel, orders).run()


def main(file: int) -> int:
    """Be a worker; returns the exit status."""
    try:
        uvloop.run(_work(socket.socket(fileno=file)))
    except ConfigError as error:
        sys.stderr.writelines(f"{problem}\n" for problem in error.problems)
        return WRONG_CONFIGURATION
    except (ProxyError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return MISTAKE
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2])))
