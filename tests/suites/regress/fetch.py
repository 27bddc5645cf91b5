"""The scripts: PostgreSQL's own regression suite, and what sqlglot's tests read.

PostgreSQL's sources come by apt from where this machine's packages come from, into a folder that is
not committed; apt's own lists are left alone. sqlglot's come as its sdist, of the version that is
installed with us. Nothing is fetched twice.
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Final

from proxy.demo.programs import find_postgres
from tests.suites.workshop import NotToBeHad, Workshop, run

SCRIPTS: Final = (
    "src/test/regress/sql/*.sql",
    "src/test/regress/parallel_schedule",
    "src/test/regress/data/*",
    "src/pl/plpgsql/src/sql/*.sql",
    "contrib/*/sql/*.sql",
    "src/test/isolation/specs/*.spec",
)
"""What is unpacked of PostgreSQL's sources."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scripts of one kind.

    Attributes:
        name: For people.
        root: Where their paths begin.
        files: They, sorted.
    """

    name: str
    root: Path
    files: tuple[Path, ...]


def fetch_postgres() -> tuple[Origin, ...]:
    """Fetch PostgreSQL's scripts.

    Raises:
        NotToBeHad: They are not to be had, and why.
    """
    package = f"postgresql-{find_postgres().major}"
    workshop = Workshop.of(package)
    note = workshop.folder / "equipped"
    if not note.exists():
        for program in ("apt-get", "bunzip2"):
            if shutil.which(program) is None:
                raise NotToBeHad(f"PostgreSQL's sources: there is no {program} here")
        _unpack(_fetch_sources(package, workshop.folder), workshop.sources)
        note.touch()
    root = workshop.sources
    return (
        _origin("regress", root, "src/test/regress/sql/*.sql"),
        _origin("plpgsql", root, "src/pl/plpgsql/src/sql/*.sql"),
        _origin("contrib", root, "contrib/*/sql/*.sql"),
        _origin("isolation", root, "src/test/isolation/specs/*.spec"),
    )


def fetch_sqlglot() -> Origin:
    """Fetch what sqlglot's tests read, of many dialects.

    Raises:
        NotToBeHad: It is not to be had, and why.
    """
    workshop = Workshop.of("sqlglot")
    note = workshop.folder / "equipped"
    wanted = f"sqlglot=={version('sqlglot')}"
    if not note.exists() or note.read_text() != wanted:
        workshop.unpack(wanted)
        note.write_text(wanted)
    return _origin("sqlglot", workshop.sources / "tests" / "fixtures", "**/*.sql")


def _fetch_sources(package: str, folder: Path) -> Path:
    """Fetch a source package and find the archive of what Debian has not changed."""
    places = run("apt-get", "indextargets", "--format", TARGET, "Created-By: Packages").splitlines()
    if not places:
        raise NotToBeHad("PostgreSQL's sources: apt knows of no place to get packages from")
    listed = folder / "sources.list"
    listed.write_text("".join(f"deb-src {place}\n" for place in sorted(set(places))))
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    apt = (
        *("apt-get", "-q", "-o", f"Dir::Etc::sourcelist={listed}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={lists}", "-o", "APT::Sandbox::User="),
    )
    run(*apt, "update", folder=folder)
    run(*apt, "source", "--download-only", package, folder=folder)
    archives = sorted(folder.glob("*.orig.tar.*"))
    if not archives:
        raise NotToBeHad(f"{package}: its source package has no .orig.tar")
    return archives[-1]


TARGET: Final = "$(REPO_URI) $(RELEASE) $(COMPONENT)"


def _unpack(archive: Path, into: Path) -> None:
    """Unpack the scripts, without the folder that everything in the archive is in."""
    shutil.rmtree(into, ignore_errors=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if member.isfile() and any(path.match(pattern) for pattern in SCRIPTS):
                member.name = str(path)
                packed.extract(member, into, filter="data")


def _origin(name: str, root: Path, pattern: str) -> Origin:
    files = tuple(sorted(root.glob(pattern)))
    if not files:
        raise NotToBeHad(f"{name}: no {pattern} where it was unpacked")
    return Origin(name, root, files)
