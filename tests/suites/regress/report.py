"""The whole suite: fetch, judge, print."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxy.routing.reading import Reader
from tests.suites.regress.fetch import Origin, fetch_postgres, fetch_sqlglot
from tests.suites.regress.judge import Tally, judge
from tests.suites.workshop import NotToBeHad

NAME = "regress"

SOURCES: tuple[Callable[[], Iterable[Origin]], ...] = (
    fetch_postgres,
    lambda: (fetch_sqlglot(),),
)


def judge_all() -> bool:
    """Judge what can be had, print what was found, and tell whether nothing is to be done."""
    total = Tally()
    for source in SOURCES:
        try:
            origins = source()
        except NotToBeHad as missing:
            print(f"{NAME}: left out, {missing}", flush=True)
            continue
        for origin in origins:
            tally = judge(origin, Reader())
            print("\n".join(tally.lines(f"{NAME}, {origin.name}")), flush=True)
            total.add(tally)
    print(
        f"{NAME}: {total.files} files, {total.statements} statements, {total.plain_reads} plain"
        f" reads of which {total.missed.total()} are missed, {len(total.violations)} violations",
        flush=True,
    )
    return not total.violations
