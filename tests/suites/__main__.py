"""Run suites that others wrote through the proxy: `python -m tests.suites --help`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from tests.suites.catalogue import ALL
from tests.suites.regress import report
from tests.suites.suite import Suite
from tests.suites.trial import SuiteFailed, suite_servers, try_suite
from tests.suites.workshop import NotToBeHad, Workshop

NAMES = (report.NAME, report.ON_A_SERVER, *(suite.name for suite in ALL))


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(NAMES))] = None,
) -> None:
    """Run suites directly and through the proxy, and compare test by test; judge scripts."""
    if not set(names or ()) <= set(NAMES):
        raise typer.BadParameter(f"there are: {', '.join(NAMES)}")
    is_good = report.judge_all() if not names or report.NAME in names else True
    if not names or report.ON_A_SERVER in names:
        with suite_servers() as cluster:
            is_good = report.witness_all(cluster) and is_good
    wanted = [suite for suite in ALL if not names or suite.name in names]
    if wanted:
        is_good = _try_all(wanted) and is_good
    sys.exit(not is_good)


def _try_all(wanted: Iterable[Suite]) -> bool:
    is_good = True
    with suite_servers() as cluster:
        for suite in wanted:
            folder = _clean(Workshop.of(suite.name).folder / "reports")
            try:
                trial = try_suite(suite, cluster, folder)
            except NotToBeHad as missing:
                print(f"{suite.name}: skipped, {missing}", flush=True)
            except SuiteFailed as failed:
                print(f"{suite.name}: FAILED, {failed}", flush=True)
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
