"""Direct, another proxy and Tidegate, in turns: `python -m benchmarks --help`."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.report import Report
from benchmarks.rounds import Tell, measure
from proxy.demo.processes import temporary_folder
from proxy.errors import ProxyError
from proxy.wire.postgres import framer


def main(
    engine: Annotated[str, typer.Option(help=f"One of {', '.join(ENGINES)}.")] = "postgres",
    suites: Annotated[str, typer.Option(help="What is measured; all when not said.")] = "",
    protocols: Annotated[str, typer.Option(help="The ways to ask; all when not said.")] = "",
    clients: Annotated[str, typer.Option(help="How many at a time, as 1,8,32.")] = "",
    seconds: Annotated[int, typer.Option(help="The length of a turn.", min=1)] = 3,
    rounds: Annotated[int, typer.Option(help="Turns of each.", min=1)] = 3,
    scale: Annotated[
        int, typer.Option(help="Of the tables: by 100,000 rows, or 10,000 of sysbench's.", min=1)
    ] = 10,
    output: Annotated[Path | None, typer.Option("--json", help="Write every number there.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there.")] = None,
) -> None:
    """Measure servers directly, through another proxy and through Tidegate, in turns."""
    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is none of {', '.join(ENGINES)}")
    bench = ENGINES[engine]
    wanted = _some(suites, bench.known) if suites else bench.known
    ways = _some(protocols, bench.protocols) if protocols else bench.protocols
    counts = _counts(clients or bench.clients)
    _raise_file_limit()
    console = Console(highlight=False)
    with temporary_folder() as folder, _telling(console) as tell:
        house = bench.house(folder, scale)
        how = {"scale": scale, "turns": f"{rounds} x {seconds} s"}
        report = Report({**_machine(), **house.versions(), **how}, bench.suites, bench.rival)
        for absent, why in house.absent.items():
            tell(f"without {absent}: {why}")
        tell("starting a primary and two replicas")
        with house.cluster:
            tell(f"loading the tables at scale {scale}")
            house.load()
            for case in bench.cases(wanted, ways, counts, scale):
                tell(str(case))
                with house.running(*case.contenders) as contenders:
                    measured = measure(case.load, contenders, seconds=seconds, rounds=rounds)
                report.cases.append((case, measured))
            for name, look in bench.capacities.items():
                if name in wanted:
                    report.capacities.append(look(house, tell))
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


def _machine() -> dict[str, object]:
    """Say where it is measured."""
    # The framer stands for all: the modules are compiled together or not at all.
    is_compiled = not framer.__file__.endswith(".py")
    return {
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        "core": "compiled" if is_compiled else "interpreted",
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
