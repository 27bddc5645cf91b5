"""What there is to measure of each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import capacity, cases, mysql_cases
from benchmarks.capacity import Capacity
from benchmarks.cases import Case
from benchmarks.contenders import HAPROXY, PGBOUNCER, House
from benchmarks.mysql_house import MySQLHouse
from benchmarks.postgres_house import PostgresHouse
from benchmarks.rounds import Tell


@dataclass(frozen=True, slots=True)
class Engine:
    """What to measure, and with what.

    Attributes:
        rival: What ratios are taken of, besides direct.
        house: Makes the servers, in a folder and of a scale.
        suites: Names and titles of the families of cases.
        cases: Makes cases of suites, protocols, numbers of clients and a scale.
        protocols: The ways to ask.
        clients: How many at a time, unless told otherwise.
        capacities: What is measured besides.
    """

    rival: str
    house: Callable[[Path, int], House]
    suites: Mapping[str, str]
    cases: Callable[[Sequence[str], Sequence[str], Sequence[int], int], Iterator[Case]]
    protocols: tuple[str, ...]
    clients: str
    capacities: Mapping[str, Callable[[House, Tell], Capacity]]

    @property
    def known(self) -> tuple[str, ...]:
        """The names of everything that can be asked for."""
        return (*self.suites, *self.capacities)


def _mysql(house: Callable[[Path, int], House]) -> Engine:
    return Engine(
        HAPROXY,
        house,
        mysql_cases.SUITES,
        mysql_cases.cases,
        mysql_cases.PROTOCOLS,
        "1,8,32",
        {},
    )


ENGINES: Final[Mapping[str, Engine]] = {
    "postgres": Engine(
        PGBOUNCER,
        PostgresHouse,
        cases.SUITES,
        cases.cases,
        cases.PROTOCOLS,
        "1,8,32,128",
        {
            "idle": capacity.idle_clients,
            "many": capacity.many_clients,
            "big": capacity.big_result,
        },
    ),
    "mariadb": _mysql(partial(MySQLHouse, "mariadb")),
    "mysql": _mysql(partial(MySQLHouse, "mysql")),
}
