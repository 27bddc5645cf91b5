"""A suite on trial: run directly and through the proxy on the same servers, and compared."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from proxy.demo.programs import last_lines
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.suites.differences import Verdict, judge, read_explained
from tests.suites.outcomes import Outcomes, count
from tests.suites.servers import Servers
from tests.suites.suite import Run, Suite
from tests.suites.workshop import Workshop

LONGEST = 3600
"""Seconds for one run of a suite."""


class SuiteFailed(AssertionError):
    """A suite did not get as far as to report."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one.

    Attributes:
        suite: Whose.
        direct: What became of each test without the proxy.
        through: The same, through it.
        verdict: What the two say.
        seconds: How long each of them took.
        work: What the proxy did meanwhile, in words.
    """

    suite: str
    direct: Outcomes
    through: Outcomes
    verdict: Verdict
    seconds: tuple[float, float]
    work: str

    def __str__(self) -> str:
        lines = [
            f"{self.suite}:",
            f"  directly  {count(self.direct)} in {self.seconds[0]:.0f} s",
            f"  through   {count(self.through)} in {self.seconds[1]:.0f} s; {self.work}",
            f"  {len(self.verdict.explained)} differences are explained",
        ]
        for test, words in self.verdict.unexplained.items():
            lines.append(f"  UNEXPLAINED  {test}: {words}")
        for test in self.verdict.outdated:
            lines.append(f"  DIFFERS NO MORE  {test}")
        return "\n".join(lines)


def try_suite(suite: Suite, servers: Servers, folder: Path) -> Trial:
    """Run a suite both ways.

    Args:
        suite: Which.
        servers: Of its engine.
        folder: For reports and logs.

    Raises:
        NotToBeHad: The suite could not be fetched.
        SuiteFailed: A run of it came to nothing.
    """
    workshop = Workshop.of(suite.name)
    if suite.modules:
        workshop.install_modules(suite.modules)
    if suite.sdist is not None:
        workshop.equip(suite.sdist, suite.packages, suite.builders)
    access = servers.access(suite.database)
    servers.make_database(suite.database, suite.setup)
    direct, before = _run(suite, Run(workshop, access, folder / "direct.report"))
    servers.make_database(suite.database, suite.setup)
    with servers.proxy(folder) as proxy:
        run = Run(workshop, access.at(proxy.port), folder / "through.report")
        through, after = _run(suite, run)
        work = _work(proxy, servers)
    verdict = judge(direct, through, read_explained(suite))
    return Trial(suite.full_name, direct, through, verdict, (before, after), work)


def _run(suite: Suite, run: Run) -> tuple[Outcomes, float]:
    command = suite.command(run)
    environment = {**run.access.environment, "PYTHONPATH": "", **command.environment}
    log = run.report.with_suffix(".log")
    began = time.monotonic()
    with log.open("wb") as output:
        subprocess.run(
            command.arguments,
            cwd=command.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
            check=False,  # a suite with a failure in it fails
        )
    if not run.report.exists() or not (outcomes := suite.read(run.report)):
        raise SuiteFailed(f"{suite.full_name} reported nothing: {last_lines(log)}")
    return outcomes, time.monotonic() - began


def _work(proxy: ProxyUnderTest, servers: Servers) -> str:
    replicas = sum(
        proxy.metric("tidegate_reads_total", server=replica) for replica in servers.replicas
    )
    hits = proxy.metric("tidegate_cache_hits_total")
    return f"{replicas:.0f} reads by replicas, {hits:.0f} from the cache"
