"""Run suites that others wrote through the proxy: `python -m tests.suites --help`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from proxy.demo.processes import MissingProgram
from tests.suites.catalogue import ALL
from tests.suites.regress import report
from tests.suites.servers import ENGINES, Engine, postgres_servers, suite_servers
from tests.suites.suite import Suite
from tests.suites.trial import SuiteFailed, try_suite
from tests.suites.workshop import NotToBeHad, Workshop

NAMES = (report.NAME, report.ON_A_SERVER, *(suite.full_name for suite in ALL))


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(NAMES))] = None,
) -> None:
    """Run suites directly and through the proxy, and compare test by test; judge scripts."""
    if not set(names or ()) <= set(NAMES):
        raise typer.BadParameter(f"there are: {', '.join(NAMES)}")
    is_good = report.judge_all() if not names or report.NAME in names else True
    if not names or report.ON_A_SERVER in names:
        with postgres_servers() as servers:
            is_good = report.witness_all(servers.cluster) and is_good
    for engine in ENGINES:
        wanted = [s for s in ALL if s.engine == engine and (not names or s.full_name in names)]
        if wanted:
            is_good = _try_all(engine, wanted) and is_good
    sys.exit(not is_good)


def _try_all(engine: Engine, wanted: Iterable[Suite]) -> bool:
    is_good = True
    with ExitStack() as running:
        try:
            servers = running.enter_context(suite_servers(engine))
        except MissingProgram as missing:
            print(f"{engine}: skipped, {missing}", flush=True)
            return True
        for suite in wanted:
            folder = _clean(Workshop.of(suite.name).folder / f"reports-{engine}")
            try:
                trial = try_suite(suite, servers, folder)
            except NotToBeHad as missing:
                print(f"{suite.full_name}: skipped, {missing}", flush=True)
            except SuiteFailed as failed:
                print(f"{suite.full_name}: FAILED, {failed}", flush=True)
                is_good = False
            else:
                print(trial, flush=True)
                is_good = is_good and trial.verdict.is_good
    return is_good


def _clean(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


if __name__ == "__main__":
    typer.run(main)
