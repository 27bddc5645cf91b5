"""For all tests: which build is tested, and how Hypothesis behaves."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from hypothesis import settings

ROOT = Path(__file__).parents[1]
PURE = os.environ.get("TIDEGATE_PURE", "0") not in ("", "0")


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

# A shared machine has pauses of its own. In CI a failure must be the change's, so there
# the examples are the same each time; elsewhere they are new ones.
settings.register_profile("tidegate", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tidegate")


def compilable() -> list[str]:
    """The modules that pyproject.toml lists to be compiled."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["include"]
    return [file.removesuffix(".py").replace("/", ".") for file in files]


def pytest_report_header() -> list[str]:
    """Say what runs compiled: a compiled form may be older than its source."""
    lines = []
    for module in compilable():
        spec = find_spec(module)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None:
            lines.append(f"{module}: missing")
        elif origin.suffix == ".py":
            lines.append(f"{module}: interpreted")
        else:
            source = ROOT / f"{module.replace('.', '/')}.py"
            is_old = origin.stat().st_mtime < source.stat().st_mtime
            lines.append(f"{module}: compiled" + (", OLDER THAN ITS SOURCE" if is_old else ""))
    return lines
