"""From what sysbench prints to the figures in the tables."""

from __future__ import annotations

import pytest

from benchmarks.sysbench import Run, read_output
from proxy.demo.processes import ProgramFailed

OUTPUT = """\
sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)

Running the test with following options:
Number of threads: 2

Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
        0.042 |                                         1
        0.118 |**************************************** 70
        1.250 |****************                         28
       13.219 |*                                        1

SQL statistics:
    queries performed:
        read:                            100
        write:                           0
        other:                           0
        total:                           100
    transactions:                        100    (99.37 per sec.)
    queries:                             100    (99.37 per sec.)
    ignored errors:                      0      (0.00 per sec.)
    reconnects:                          0      (0.00 per sec.)

Latency (ms):
         min:                                    0.04
         95th percentile:                        1.25
"""


def test_rate_and_histogram_are_read_from_what_is_printed() -> None:
    run = read_output(OUTPUT)
    assert run.per_second == 99.37
    assert run.buckets == [(0.042, 1), (0.118, 70), (1.25, 28), (13.219, 1)]
    assert run.transactions == 100


@pytest.mark.parametrize(
    ("percent", "microseconds"), [(0, 42), (50, 118), (71, 1250), (98, 1250), (100, 13219)]
)
def test_percentiles_are_the_buckets_that_they_fall_into(
    percent: float, microseconds: float
) -> None:
    assert read_output(OUTPUT).percentile(percent) == pytest.approx(microseconds)


def test_a_percentile_of_one_transaction_is_that_one() -> None:
    assert Run(1.0, [(2.5, 1)]).percentile(99) == 2500


@pytest.mark.parametrize(
    "text", ["", OUTPUT.partition("SQL")[0], "SQL" + OUTPUT.partition("SQL")[2]]
)
def test_sysbench_that_did_nothing_is_a_failure(text: str) -> None:
    with pytest.raises(ProgramFailed, match="sysbench did nothing"):
        read_output(text)
