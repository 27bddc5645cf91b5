"""Direct, PgBouncer and Tidegate, in turns: `python -m benchmarks --help`."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.capacity import big_result, idle_clients, many_clients
from benchmarks.cases import PROTOCOLS, SUITES, cases
from benchmarks.contenders import House
from benchmarks.pgbouncer import find_pgbouncer, version_of
from benchmarks.report import Report
from benchmarks.rounds import Tell, measure
from proxy.demo.processes import temporary_folder
from proxy.demo.programs import find_postgres
from proxy.errors import ProxyError
from proxy.wire.postgres import framer

CAPACITIES: Final = ("idle", "many", "big")
KNOWN: Final = (*SUITES, *CAPACITIES)


def main(
    suites: Annotated[str, typer.Option(help="What is measured.")] = ",".join(KNOWN),
    protocols: Annotated[str, typer.Option(help="Of pgbench.")] = ",".join(PROTOCOLS),
    clients: Annotated[str, typer.Option(help="How many at a time.")] = "1,8,32,128",
    seconds: Annotated[int, typer.Option(help="The length of a turn.", min=1)] = 3,
    rounds: Annotated[int, typer.Option(help="Turns of each.", min=1)] = 3,
    scale: Annotated[int, typer.Option(help="Of the tables, as pgbench's.", min=1)] = 10,
    output: Annotated[Path | None, typer.Option("--json", help="Write every number there.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there.")] = None,
) -> None:
    """Measure PostgreSQL directly, through PgBouncer and through Tidegate, in turns."""
    wanted = _some(suites, KNOWN)
    counts = _counts(clients)
    _raise_file_limit()
    console = Console(highlight=False)
    report = Report(_machine(seconds, rounds, scale))
    with temporary_folder() as folder, _telling(console) as tell:
        house = House(folder, scale=scale)
        tell("starting a primary and two replicas")
        with house.cluster:
            tell(f"loading the tables of pgbench at scale {scale}")
            asyncio.run(house.load())
            for case in cases(wanted, _some(protocols, PROTOCOLS), counts):
                tell(str(case))
                with house.running(*case.contenders) as contenders:
                    measured = measure(
                        case.load,
                        contenders,
                        password=house.password,
                        seconds=seconds,
                        rounds=rounds,
                    )
                report.cases.append((case, measured))
            if "idle" in wanted:
                report.capacities.append(idle_clients(house, tell))
            if "many" in wanted:
                report.capacities.append(many_clients(house, tell))
            if "big" in wanted:
                report.capacities.append(big_result(house, tell))
    report.show(console)
    if markdown:
        markdown.write_text(report.as_markdown())
    if output:
        output.write_text(json.dumps(report.as_json(), indent=1) + "\n")


def _some(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Read a list of names; only known ones will do."""
    names = tuple(text.split(","))
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return names


def _counts(text: str) -> list[int]:
    try:
        return [int(count) for count in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no list of numbers, as 1,8,32") from None


def _raise_file_limit() -> None:
    """Take what we may: two thousand clients are open here, in pgbench and in the proxies."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _machine(seconds: int, rounds: int, scale: int) -> dict[str, object]:
    """Say where and how it was measured."""
    # The framer stands for all: the modules are compiled together or not at all.
    is_compiled = not framer.__file__.endswith(".py")
    return {
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        "PostgreSQL": find_postgres().major,
        "PgBouncer": ".".join(map(str, version_of(find_pgbouncer()))),
        "core": "compiled" if is_compiled else "interpreted",
        "scale": scale,
        "turns": f"{rounds} x {seconds} s",
    }


@contextmanager
def _telling(console: Console) -> Iterator[Tell]:
    """Show what is under way: in a line of its own on a terminal, else line by line."""
    if not console.is_terminal:
        yield lambda text: print(text, file=sys.stderr)
        return
    with console.status("") as status:
        yield status.update


def _run() -> None:
    try:
        typer.run(main)
    except (ProxyError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _run()
