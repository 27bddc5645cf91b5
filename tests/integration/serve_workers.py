"""`tidegate serve`, only that a worker that hangs is noticed sooner."""

from __future__ import annotations

import sys
from functools import partial

from proxy import cli
from proxy.workers import supervisor

HANGS = 4.0
"""Seconds."""


if __name__ == "__main__":
    supervisor.run = partial(supervisor.run, hangs=HANGS)  # type: ignore[assignment]
    sys.argv[1:1] = ["serve"]
    cli.main()
