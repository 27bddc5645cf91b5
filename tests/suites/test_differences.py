"""Two runs of a suite are compared test by test."""

from __future__ import annotations

from pathlib import Path

from tests.suites.catalogue import ALL
from tests.suites.differences import judge, read_explained
from tests.suites.outcomes import Outcome, count, read_junit, read_lines

PASSED, SKIPPED, FAILED = Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED

JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no">no</failure></testcase>
<testcase classname="a" name="left_out"><skipped message="no"/></testcase>
<testcase classname="a" name="not_cleaned"/>
<testcase classname="a" name="not_cleaned"><error message="no">no</error></testcase>
</testsuite></testsuites>
"""


def test_a_report_of_pytest_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text(JUNIT)
    outcomes = read_junit(report)
    assert outcomes == {
        "a::good": PASSED,
        "a::bad": FAILED,
        "a::left_out": SKIPPED,
        "a::not_cleaned": FAILED,
    }
    assert count(outcomes) == "1 passed, 1 skipped, 2 failed"


def test_a_report_in_lines_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text('["a", "passed"]\n["b", "failed"]\n["b", "passed"]\n')
    assert read_lines(report) == {"a": PASSED, "b": FAILED}


def test_what_differs_is_unexplained_until_it_is_explained() -> None:
    direct = {"same": PASSED, "worse": PASSED, "left out": PASSED, "gone": PASSED}
    through = {"same": PASSED, "worse": FAILED, "left out": SKIPPED, "new": PASSED}
    verdict = judge(direct, through, {"left out": "because"})
    assert verdict.unexplained.keys() == {"worse", "gone", "new"}
    assert verdict.unexplained["worse"] == "passed directly, failed through the proxy"
    assert verdict.explained == ("left out",)
    assert not verdict.is_good


def test_an_explanation_of_what_does_not_differ_is_outdated() -> None:
    verdict = judge({"a": PASSED, "b": FAILED}, {"a": PASSED, "b": FAILED}, {"a": "because"})
    assert verdict.outdated == ("a",)
    assert not verdict.is_good


def test_what_fails_both_ways_says_nothing_of_the_proxy() -> None:
    assert judge({"a": FAILED}, {"a": FAILED}, {}).is_good
    assert judge({"a": FAILED}, {"a": PASSED}, {}).is_good


def test_every_explanation_is_of_a_suite_and_has_a_reason() -> None:
    for suite in ALL:
        assert all(reason.strip() for reason in read_explained(suite).values())
