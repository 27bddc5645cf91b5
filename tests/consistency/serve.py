"""Tidegate with rules of freshness switched off: `python -m tests.consistency.serve`.

The product has no such switch, neither on its command line nor in its configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import fields
from pathlib import Path
from typing import Final

import uvloop

from proxy.app import Application
from proxy.freshness.fleet import Fleet
from proxy.freshness.rules import Rules
from proxy.observe.logs import configure
from proxy.runtime import membership, service
from proxy.settings import Settings, load, secrets
from tests.simulation import mutations

FLEETS: Final[dict[str, type[Fleet]]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(mutations.Ungranted, mutations.Gapless, mutations.Disorderly, mutations.Stateless),
        mutations.Unvouched,
    )
}


def main() -> None:
    """Serve until told to stop."""
    rules = [field.name for field in fields(Rules)]
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", action="append", choices=rules, default=[])
    parser.add_argument("--fleet", choices=FLEETS, help="a member as the simulation has it")
    parser.add_argument("--impatient", action="store_true", help="no commit waits for others")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.fleet is not None:
        membership.Fleet = FLEETS[arguments.fleet]  # type: ignore[misc]
    if arguments.impatient:
        service.GroupService.hold = _wait_for_nobody  # type: ignore[method-assign]
    settings = load(arguments.file)
    configure(settings.log, secrets(settings))
    uvloop.run(_serve(settings, Rules(**dict.fromkeys(arguments.without, False))))


def _wait_for_nobody(*_: object) -> None:
    """A commit is sent at once."""


async def _serve(settings: Settings, rules: Rules) -> None:
    application = Application(settings, rules)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await application.start()
    await stop.wait()
    await application.close()


if __name__ == "__main__":
    main()
