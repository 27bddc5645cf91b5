"""What is known of a suite that others wrote: how to get it, and how to run it against a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.application import Application
from tests.suites.outcomes import Outcomes, read_junit
from tests.suites.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a suite.

    Attributes:
        workshop: Where its sources are.
        application: What it connects as, and to; directly or through the proxy.
        report: Where it is to report.
    """

    workshop: Workshop
    application: Application
    report: Path


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run.

    Attributes:
        arguments: The program and its arguments.
        folder: Where; None: where we are.
        environment: Added to ours and to what libpq's programs connect by.
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
        sdist: Whose tests they are, with the version; None: they are installed with us.
        packages: What they need.
        setup: What the database must have.
        read: Reads the report.
    """

    name: str
    database: str
    command: Callable[[Run], Command]
    sdist: str | None = None
    packages: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    read: Callable[[Path], Outcomes] = read_junit


def pytest_command(python: Path, report: Path, *arguments: str) -> tuple[str, ...]:
    """Run pytest with a report, and none of our own settings."""
    options = ("-q", "--no-header", "-p", "no:cacheprovider", "--junitxml", str(report))
    return (str(python), "-m", "pytest", *options, *arguments)
