"""The demonstration: real servers, Tidegate in front, and what it does with reads and writes.

What it claims it checks, by numbers; a claim that did not hold is said, and the status is 1
then. What is shown is in `scenes`; nothing is left behind, however it ends.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from proxy.demo import schema
from proxy.demo.database import Database
from proxy.demo.interrupts import Interrupts
from proxy.demo.mysql_database import MySQLDatabase
from proxy.demo.postgres_database import PostgresDatabase
from proxy.demo.processes import ProgramFailed, free_port, temporary_folder, wait_until
from proxy.demo.programs import last_lines
from proxy.demo.proxy_process import ProxyProcess
from proxy.demo.scenes.caching import ask_again, write_between
from proxy.demo.scenes.held_back import hold_back
from proxy.demo.scenes.mixed_load import run_load
from proxy.demo.scenes.statements import BRANCH, with_value
from proxy.demo.scenes.timing import compare
from proxy.demo.screen import Screen
from proxy.demo.stage import CACHE, Stage

SCENES: Final = (ask_again, write_between, hold_back, run_load, compare)

DATABASES: Final[dict[str, Callable[[Path], Database]]] = {
    "postgres": PostgresDatabase,
    "mariadb": partial(MySQLDatabase, "mariadb"),
    "mysql": partial(MySQLDatabase, "mysql"),
}

INTERRUPTED: Final = 128 + signal.SIGINT

ADMIN_PORT: Final = 9127


def run(exit_when_done: bool, servers: str = "postgres") -> int:
    """Run the demonstration; returns the exit status.

    Args:
        servers: Which of `DATABASES` it plays on.
        exit_when_done: End by itself. Otherwise it stays up until it is told to stop.
    """
    screen = Screen()
    with Interrupts() as interrupts:
        try:
            with ExitStack() as running:
                try:
                    stage = _build(DATABASES[servers], screen, running, interrupts)
                    _show(stage, interrupts)
                    if not exit_when_done:
                        _stay_up(stage, interrupts)
                finally:
                    interrupts.disarm()
                screen.say("Everything is being stopped and removed.")
                return 1 if stage.failures else 0
        except KeyboardInterrupt:
            screen.say("Interrupted. Everything was stopped and removed.")
            return INTERRUPTED


def _build(
    make: Callable[[Path], Database], screen: Screen, running: ExitStack, interrupts: Interrupts
) -> Stage:
    """Start everything, from the servers up."""
    folder = running.enter_context(temporary_folder())
    database = make(folder)
    screen.say(f"Tidegate in front of {database.title}", "bold")
    screen.say("Servers, data and logs are in a temporary folder that goes with this demo.")
    screen.say()
    with screen.doing(f"{database.version}: a primary and two replicas"):
        running.enter_context(database)
        interrupts.check()
        database.make_user()
    with screen.doing(
        f"the tables of pgbench, {database.accounts:,} accounts", schema.SCALE
    ) as advance:
        interrupts.run(database.load(advance))
        database.wait_replayed()
        interrupts.check()
    with screen.doing("Tidegate, with its defaults: no configuration file, no Redis"):
        user, password = database.control
        proxy = ProxyProcess(
            folder,
            [server.address for server in database.servers],
            user=user,
            password=password,
            engine=database.engine,
            port=_port(database.port),
            admin_port=_port(ADMIN_PORT),
        )
        running.enter_context(proxy)
        stage = Stage(database, proxy, screen)

        def is_routing() -> bool:
            interrupts.check()
            return "replica" in stage.route(with_value(BRANCH, 1))

        # It reads a database's catalog for the first client that comes; until then, all of
        # that client's statements go to the primary.
        wait_until(is_routing, "Tidegate to send reads to replicas")
    for server in database.servers:
        screen.note(f"{server.name:9} {server.address}")
    screen.note(f"tidegate  127.0.0.1:{proxy.port}")
    return stage


def _port(usual: int) -> int:
    """Take the usual port when nobody has it: it is easier to remember."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            return free_port()
    return usual


def _show(stage: Stage, interrupts: Interrupts) -> None:
    """Play the scenes, then sum up."""
    failures: tuple[type[Exception], ...] = (OSError, ProgramFailed, *stage.database.errors)
    try:
        for scene in SCENES:
            interrupts.run(scene(stage))
    except failures as error:
        stage.claim(f"It went on without an error: {type(error).__name__}: {error}", held=False)
        stage.screen.say(f"Tidegate's log ends with: {last_lines(stage.proxy.log)}")
    _sum_up(stage)


def _sum_up(stage: Stage) -> None:
    screen = stage.screen
    names = [server.name for server in stage.servers] + [CACHE]
    rows = [
        [what, *(f"{spread.reads[name]:,}" for name in names)]
        for what, spread in stage.spreads.items()
    ]
    screen.table("Who answered the reads", ["reads of", *names], rows)
    columns = ["statement", "direct p50", "per s", "Tidegate p50", "per s"]
    screen.table("The same statements, direct and through Tidegate", columns, stage.timings)
    screen.say("Clients, servers and Tidegate share this machine: compare, don't quote.", "dim")
    screen.say()
    if stage.failures:
        screen.say(f"{len(stage.failures)} of {stage.claims} claims did not hold:", "bold red")
        for failure in stage.failures:
            screen.verdict(failure, held=False)
    else:
        screen.say(f"All {stage.claims} claims were checked, and held.", "bold green")


def _stay_up(stage: Stage, interrupts: Interrupts) -> None:
    """Leave everything running for whoever wants to try it, until told to stop."""
    screen = stage.screen
    screen.heading("It is yours now")
    database = stage.database
    screen.command(database.call_client(stage.proxy.port), "any SQL; tables pgbench_*")
    screen.command(
        "EXPLAIN ROUTE SELECT * FROM pgbench_tellers;",
        f"in {database.client}: where a statement goes, and why",
    )
    screen.command(f"curl -s {stage.proxy.metrics_url}", "what Tidegate counts")
    screen.command(f"tail {stage.proxy.log}", "what Tidegate logs")
    screen.say()
    screen.say("Ctrl-C stops everything and removes it.", "bold")
    try:
        while stage.proxy.is_running:
            interrupts.check()
            time.sleep(0.1)
    except KeyboardInterrupt:
        return
    stage.claim("Tidegate stays up: it ended by itself", held=False)
