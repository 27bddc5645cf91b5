"""What is known of a suite that others wrote: how to get it, and how to run it against a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.suites.outcomes import Outcomes, read_junit
from tests.suites.servers import Access, Engine
from tests.suites.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a suite.

    Attributes:
        workshop: Where its sources are.
        access: How it connects.
        report: Where it is to report.
    """

    workshop: Workshop
    access: Access
    report: Path


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run.

    Attributes:
        arguments: The program and its arguments.
        folder: Where; None: where we are.
        environment: Added to ours and to what the access adds.
    """

    arguments: Sequence[str]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suite:
    """See the module.

    Attributes:
        name: As it is called here.
        database: What it connects to; made anew for each run.
        command: Says how it is run.
        engine: What it is run on.
        sdist: Whose tests they are, with the version; None: they are our own, or installed with us.
        packages: What they need.
        builders: What must be there for pip to know the sdist's name.
        modules: What it needs of node's.
        setup: What the servers must have.
        read: Reads the report.
    """

    name: str
    database: str
    command: Callable[[Run], Command]
    engine: Engine = "postgres"
    sdist: str | None = None
    packages: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    read: Callable[[Path], Outcomes] = read_junit

    @property
    def full_name(self) -> str:
        """Its name, and the engine's where others have a suite of that name."""
        return self.name if self.engine == "postgres" else f"{self.name}-{self.engine}"


def pytest_command(python: Path, report: Path, *arguments: str) -> tuple[str, ...]:
    """Run pytest with a report, and none of our own settings."""
    options = ("-q", "--no-header", "-p", "no:cacheprovider", "--junitxml", str(report))
    return (str(python), "-m", "pytest", *options, *arguments)
