"""What is measured with sysbench: loads, and who runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.cases import HOT_KEYS, Case
from benchmarks.contenders import CACHED, DIRECT, HAPROXY, ONE_SERVER, ROUTER, THREE_SERVERS
from benchmarks.mysql_house import ROWS
from benchmarks.sysbench import Load

PROTOCOLS: Final = ("auto", "disable")

SUITES: Final = {
    "select": "oltp_point_select: a row by its key, of all there are; nothing is cached",
    "hot": f"the same of {HOT_KEYS} keys: Tidegate, cached, answers from its cache",
    "read": "oltp_read_only: transactions of ten rows by their keys and four ranges of 100",
    "write": "oltp_read_write: the same, two updates, a deletion and an insertion",
}

_SCRIPTS: Final = {
    "select": "oltp_point_select",
    "hot": "oltp_point_select",
    "read": "oltp_read_only",
    "write": "oltp_read_write",
}
_OTHERS: Final = (DIRECT, HAPROXY, ROUTER)
_CONTENDERS: Final = {
    "select": (*_OTHERS, ONE_SERVER, THREE_SERVERS),
    "hot": (*_OTHERS, ONE_SERVER, CACHED),
    "read": (*_OTHERS, ONE_SERVER, CACHED),
    "write": (*_OTHERS, ONE_SERVER, CACHED),
}


def cases(
    suites: Sequence[str], protocols: Sequence[str], clients: Sequence[int], scale: int
) -> Iterator[Case]:
    """Yield the cases of some suites."""
    for suite in SUITES:
        if suite in suites:
            rows = HOT_KEYS if suite == "hot" else scale * ROWS
            for protocol in protocols:
                for count in clients:
                    load = Load(_SCRIPTS[suite], protocol, count, rows)
                    yield Case(suite, load, _CONTENDERS[suite])
