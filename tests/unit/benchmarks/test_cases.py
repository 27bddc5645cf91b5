"""What is measured of which engine, and against whom."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.cases import Case
from benchmarks.contenders import CACHED, DIRECT, HAPROXY, ONE_SERVER, ROUTER, House, Server
from benchmarks.engines import ENGINES
from benchmarks.report import Report
from benchmarks.rounds import Measured
from benchmarks.sysbench import Load


@pytest.mark.parametrize("name", ENGINES)
def test_every_suite_has_cases_and_begins_with_direct(name: str) -> None:
    engine = ENGINES[name]
    cases = list(engine.cases(tuple(engine.suites), engine.protocols, [1, 8], 10))
    assert {case.suite for case in cases} == set(engine.suites)
    assert all(case.contenders[0] == DIRECT for case in cases)
    assert all(engine.rival in case.contenders for case in cases)


def test_each_script_of_sysbench_runs_both_ways_at_each_number_of_clients() -> None:
    cases = list(ENGINES["mariadb"].cases(("read",), ("auto", "disable"), [1, 32], 2))
    assert [case.load for case in cases] == [
        Load("oltp_read_only", protocol, clients, 20_000)
        for protocol in ("auto", "disable")
        for clients in (1, 32)
    ]


def test_hot_keys_are_as_many_at_any_scale() -> None:
    for scale in (1, 100):
        (case,) = ENGINES["mysql"].cases(("hot",), ("auto",), [8], scale)
        assert case.load == Load("oltp_point_select", "auto", 8, 1000)
        assert case.contenders == (DIRECT, HAPROXY, ROUTER, ONE_SERVER, CACHED)


class EmptyHouse(House):
    """A house whose servers are never asked."""

    @property
    def servers(self) -> list[Server]:
        return [Address()]


class Address:
    """Where nobody is."""

    port = 3306
    address = "127.0.0.1:3306"


def test_contender_that_cannot_be_had_is_left_out(tmp_path: Path) -> None:
    house = EmptyHouse(tmp_path, 1, nullcontext())
    house.absent[ROUTER] = "no such package"
    with house.running(DIRECT, ROUTER) as contenders:
        assert [contender.name for contender in contenders] == [DIRECT]


def test_report_compares_with_the_rival_of_the_engine() -> None:
    engine = ENGINES["mariadb"]
    load = Load("oltp_point_select", "auto", 8, 1000)
    measured = [Measured(DIRECT, [400.0], [1.0], [2.0]), Measured(HAPROXY, [200.0], [1.0], [2.0])]
    case = Case("hot", load, (DIRECT, HAPROXY))
    report = Report({"cores": 2}, engine.suites, engine.rival, [(case, measured)])
    text = report.as_markdown()
    assert "of HAProxy" in text
    assert "0.50 (0.50-0.50)" in text
    assert report.as_json()["cases"] == [
        {
            "suite": "hot",
            "load": asdict(load),
            "contenders": (DIRECT, HAPROXY),
            "measured": [asdict(one) for one in measured],
        }
    ]
