"""Tidegate with rules of freshness switched off: `python -m tests.consistency.serve`.

The product has no such switch, neither on its command line nor in its configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import fields
from pathlib import Path

import uvloop

from proxy.app import Application
from proxy.freshness.rules import Rules
from proxy.observe.logs import configure
from proxy.settings import Settings, load, secrets


def main() -> None:
    """Serve until told to stop."""
    rules = [field.name for field in fields(Rules)]
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", action="append", choices=rules, default=[])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    settings = load(arguments.file)
    configure(settings.log, secrets(settings))
    uvloop.run(_serve(settings, Rules(**dict.fromkeys(arguments.without, False))))


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
