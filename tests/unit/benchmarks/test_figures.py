"""From what pgbench prints and logs to the figures in the tables."""

from __future__ import annotations

from array import array
from pathlib import Path

from benchmarks.pgbench import Run, read_logs
from benchmarks.rounds import Spread, ratios


def test_ratios_are_taken_round_by_round() -> None:
    # A round in which the whole machine was half as fast changes no ratio.
    assert ratios([10.0, 5.0, 12.0], [20.0, 10.0, 20.0]) == Spread(0.5, 0.5, 0.6)


def test_percentiles_are_of_what_was_measured() -> None:
    run = Run(1.0, array("L", range(100, 0, -1)))
    assert run.percentile(50) == 51
    assert run.percentile(99) == 100
    assert run.percentile(100) == 100


def test_transactions_are_told_apart_by_client(tmp_path: Path) -> None:
    (tmp_path / "log.17").write_text("0 1 250 0 1700000000 1\n1 1 300 0 1700000000 2\n")
    (tmp_path / "log.17.1").write_text("2 1 90 0 1700000000 3\n")
    assert sorted(read_logs(tmp_path)) == [(0, 250), (1, 300), (2, 90)]
