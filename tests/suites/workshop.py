"""Where suites that others wrote are kept: their sources and what they need to run.

All of it comes from the ordinary package index when it is wanted, into a folder that is not
committed. Nothing is fetched twice.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ProxyError

ROOT = Path(__file__).parents[2]


class NotToBeHad(ProxyError):
    """A suite's sources, or what it needs, could not be fetched; the text says what."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder of its own for one suite."""

    folder: Path

    @classmethod
    def of(cls, suite: str) -> Workshop:
        """Find or make a suite's."""
        folder = ROOT / "build" / "suites" / suite
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    @property
    def sources(self) -> Path:
        """The unpacked sdist."""
        return self.folder / "sources"

    @property
    def python(self) -> Path:
        """The interpreter that has what the suite needs."""
        return self.folder / "venv" / "bin" / "python"

    def equip(self, sdist: str, packages: Sequence[str], builders: Sequence[str] = ()) -> None:
        """Fetch what is not there yet.

        Args:
            sdist: Whose tests these are, with its version.
            packages: What they need.
            builders: What the sdist is built with.

        Raises:
            NotToBeHad: Something of it is not to be had.
        """
        note = self.folder / "equipped"
        wanted = "\n".join([sdist, *packages, *builders])
        if note.exists() and note.read_text() == wanted:
            return
        shutil.rmtree(self.folder / "venv", ignore_errors=True)
        run(sys.executable, "-m", "venv", str(self.folder / "venv"))
        if builders:
            run(*_pip(self.python), "install", "--upgrade", *builders)
        # Without isolation nothing is built just to know its name, which pip knows already.
        pip = self.python if builders else Path(sys.executable)
        self.unpack(sdist, "--no-build-isolation", pip=pip)
        run(*_pip(self.python), "install", *packages)
        note.write_text(wanted)

    def install_modules(self, modules: Sequence[str]) -> None:
        """Fetch packages of node's, by npm, unless they are there.

        Raises:
            NotToBeHad: There is no npm, or they are not to be had.
        """
        note = self.folder / "installed"
        wanted = "\n".join(modules)
        if note.exists() and note.read_text() == wanted:
            return
        if shutil.which("npm") is None:
            raise NotToBeHad("there is no npm here")
        shutil.rmtree(self.folder / "node_modules", ignore_errors=True)
        run("npm", "install", "--silent", "--no-save", "--prefix", str(self.folder), *modules)
        note.write_text(wanted)

    def unpack(self, sdist: str, *options: str, pip: Path = Path(sys.executable)) -> None:
        """Fetch an sdist.

        Args:
            sdist: Which, with its version.
            options: More of what `pip download` is told.
            pip: The interpreter whose pip is asked.

        Raises:
            NotToBeHad: It is not to be had.
        """
        into = self.folder / "sdist"
        for old in (self.sources, into):
            shutil.rmtree(old, ignore_errors=True)
        options = ("--no-binary", ":all:", "--no-deps", "--dest", str(into), *options)
        run(*_pip(pip), "download", *options, sdist)
        (archive,) = into.iterdir()
        with tarfile.open(archive) as packed:
            packed.extractall(into, filter="data")
        (unpacked,) = (path for path in into.iterdir() if path.is_dir())
        unpacked.rename(self.sources)


def _pip(python: Path) -> tuple[str, ...]:
    return (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a program that fetches something, and say what it printed.

    Raises:
        NotToBeHad: It failed.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stdout.strip().splitlines()[-1:]
        raise NotToBeHad(f"{shlex.join(command)}: {' '.join(said) or done.returncode}")
    return done.stdout
