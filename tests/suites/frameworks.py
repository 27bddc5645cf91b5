"""How suites are run that are the same on every engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.suites.suite import Command, Run

HERE: Final = Path(__file__).parent

UNITTEST: Final = HERE / "unittest_support"
"""What has unittest report."""

DJANGO_SDIST: Final = "Django==5.2.19"


def django(run: Run, labels: str) -> Command:
    """Run some of Django's tests.

    Args:
        run: How.
        labels: Which of them.
    """
    run.report.unlink(missing_ok=True)
    return Command(
        (
            *(str(run.workshop.python), "runtests.py", "--settings", "suite_settings"),
            *("--parallel", "1", "--noinput", *labels.split()),
        ),
        folder=run.workshop.sources / "tests",
        environment={
            "PYTHONPATH": os.pathsep.join([str(HERE / "django_support"), str(UNITTEST)]),
            "OUTCOMES": str(run.report),
        },
    )
