"""For all tests: which build is tested, how Hypothesis behaves, and how a command is run."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
PURE = os.environ.get("TIDEGATE_PURE", "0") not in ("", "0")

Run = Callable[..., int]


class SourcesOnly:
    """Finds the modules of `proxy` as sources, where a compiled form would win otherwise."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("proxy."):
            return None
        for folder in path or ():
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name, target)
            if spec is not None:
                return spec
        return None


if PURE:
    assert "proxy" not in sys.modules, "too late to choose the sources"
    sys.meta_path.insert(0, SourcesOnly)

WORKER = re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", ""))
if WORKER is not None:
    from proxy.demo.processes import share_ports  # not before it is settled which build is tested

    share_ports(int(WORKER[1]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))

# A shared machine has pauses of its own. In CI a failure must be the change's, so there
# the examples are the same each time; elsewhere they are new ones.
settings.register_profile("tidegate", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tidegate")


def compilable() -> list[Path]:
    """The sources that pyproject.toml lists to be compiled."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    files = {path for pattern in hook["include"] for path in ROOT.glob(pattern)}
    return sorted(path for path in files if path.name not in hook["exclude"])


def pytest_report_header() -> str:
    """Say how much runs compiled. A form that is older than its source would test old code."""
    sources = compilable()
    compiled = 0
    for source in sources:
        spec = find_spec(".".join(source.relative_to(ROOT).with_suffix("").parts))
        origin = Path(spec.origin) if spec is not None and spec.origin else source
        if origin.suffix == ".py":
            continue
        if origin.stat().st_mtime < source.stat().st_mtime:
            pytest.exit(f"{origin} is older than its source: make build, or TIDEGATE_PURE=1", 2)
        compiled += 1
    return f"compiled: {compiled} of {len(sources)} modules that can be"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line as the shell does; returns the exit status."""
    from proxy import cli  # not before it is settled which build is tested

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run
