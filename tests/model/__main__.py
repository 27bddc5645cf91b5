"""The full exploration: `make model`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.model.cases import FULL, MISSED_IN
from tests.model.explorer import explore


def main(arguments: Sequence[str] | None = None) -> int:
    """Show what is found without each rule, then that nothing is found with all."""
    parser = argparse.ArgumentParser(prog="make model", description=__doc__)
    parser.add_argument("--cap", type=int, default=1_000_000, help="states kept for each scene")
    cap = parser.parse_args(arguments).cap

    failed = []
    for rule, scene in MISSED_IN.items():
        report = explore(scene.lacking(rule), cap)
        print(f"without {rule.name} ({rule.value}): {report}", flush=True)
        if not report.trace:
            failed.append(f"without {rule.name}")
    cut_off = []
    for name, scene in FULL.items():
        report = explore(scene, cap)
        print(f"{name}: {report}", flush=True)
        if report.trace:
            failed.append(name)
        elif not report.complete:
            cut_off.append(name)
    if cut_off:
        print(f"not explored to the end: {'; '.join(cut_off)}")
    if failed:
        print(f"FAILED: {'; '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
