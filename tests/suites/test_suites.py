"""The suites at hand do through the proxy what they do directly; `make suites` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.suites.catalogue import SHORT
from tests.suites.servers import Servers, suite_servers
from tests.suites.suite import Suite
from tests.suites.trial import try_suite


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with suite_servers("postgres") as found:
        yield found


@pytest.mark.parametrize("suite", SHORT, ids=lambda suite: suite.name)
def test_a_suite_does_as_well_as_directly(suite: Suite, servers: Servers, tmp_path: Path) -> None:
    trial = try_suite(suite, servers, tmp_path)
    assert trial.verdict.is_good, str(trial)
    assert len(trial.through) > 100, str(trial)
