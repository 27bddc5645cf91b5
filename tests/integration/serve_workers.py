"""Several workers, which the product does not serve yet.

It is `tidegate serve`, only that `workers` may be set, and that one that hangs is noticed sooner.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from proxy import cli
from proxy.settings import Settings, checks
from proxy.settings.problems import Problem
from proxy.workers import supervisor

HANGS = 4.0
"""Seconds."""


def served(settings: Settings) -> Iterator[Problem]:
    """Find nothing wrong with several workers."""
    return iter(())


if __name__ == "__main__":
    checks.check_workers = served
    supervisor.run = partial(supervisor.run, hangs=HANGS)  # type: ignore[assignment]
    sys.argv[1:1] = ["serve"]
    cli.main()
