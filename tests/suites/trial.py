"""A suite on trial: run directly and through the proxy on the same servers, and compared."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.programs import last_lines
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.suites.differences import Verdict, judge, read_explained
from tests.suites.outcomes import Outcomes, count
from tests.suites.suite import Run, Suite
from tests.suites.workshop import Workshop

USER, PASSWORD = "suites", "pencil"
"""A superuser. One of SQLAlchemy's tests is wrong about passwords with capital letters in them."""

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


@contextmanager
def suite_servers() -> Iterator[PostgresCluster]:
    """A primary and two replicas that allow what suites ask for."""
    with temporary_cluster(settings={"max_prepared_transactions": "20"}) as cluster:
        cluster.primary.execute(f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        yield cluster


def try_suite(suite: Suite, cluster: PostgresCluster, folder: Path) -> Trial:
    """Run a suite both ways.

    Args:
        suite: Which.
        cluster: The servers.
        folder: For reports and logs.

    Raises:
        NotToBeHad: The suite could not be fetched.
        SuiteFailed: A run of it came to nothing.
    """
    workshop = Workshop.of(suite.name)
    if suite.sdist is not None:
        workshop.equip(suite.sdist, suite.packages)
    application = Application(cluster.primary.port, USER, PASSWORD, suite.database)
    _make_database(suite, cluster)
    direct, before = _run(suite, Run(workshop, application, folder / "direct.report"))
    _make_database(suite, cluster)
    proxy = ProxyUnderTest(
        folder,
        [server.address for server in cluster.servers],
        auth_user=SUPERUSER,
        auth_password=cluster.password,
    )
    with proxy:
        run = Run(workshop, application.at(proxy.port), folder / "through.report")
        through, after = _run(suite, run)
        work = _work(proxy, cluster)
    verdict = judge(direct, through, read_explained(suite.name))
    return Trial(suite.name, direct, through, verdict, (before, after), work)


def _make_database(suite: Suite, cluster: PostgresCluster) -> None:
    """Make a suite's database anew, there on every server."""
    primary, name = cluster.primary, suite.database
    if name != "postgres":
        primary.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        primary.execute(f"CREATE DATABASE {name}")
    for statement in suite.setup:
        primary.execute(statement, database=name)
    cluster.wait_replayed()


def _run(suite: Suite, run: Run) -> tuple[Outcomes, float]:
    command = suite.command(run)
    environment = {**run.application.environment, "PYTHONPATH": "", **command.environment}
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
        raise SuiteFailed(f"{suite.name} reported nothing: {last_lines(log)}")
    return outcomes, time.monotonic() - began


def _work(proxy: ProxyUnderTest, cluster: PostgresCluster) -> str:
    replicas = sum(
        proxy.metric("tidegate_reads_total", server=replica.address) for replica in cluster.replicas
    )
    hits = proxy.metric("tidegate_cache_hits_total")
    return f"{replicas:.0f} reads by replicas, {hits:.0f} from the cache"
