"""Fetch a real MySQL, or its Router, for machines whose distribution has MariaDB only.

Debian's unstable suite has both. The packages, with the libraries of the same suite, are
unpacked into a folder of their own, beside the system: nothing is installed, no package's script
is run, nobody has to be root, and what is there goes on as it was. The programs are started by
the folder's own loader, so that its newer C library doesn't matter to the machine's. Takes ten
seconds and 400 MB, once (the Router: 100 MB).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from proxy.demo.processes import MissingProgram

PACKAGES: Final = {
    "mysql": ("mysql-server-core", "mysql-client-core"),
    "mysql-router": ("mysql-router",),
}
"""What is fetched together, each into a folder of its own."""
SUITE: Final = "sid"
MIRROR: Final = "http://deb.debian.org/debian"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PATIENCE: Final = 600.0


def cache_folder() -> Path:
    """Return the folder for what is worth keeping between runs and belongs to no checkout.

    Servers that are started by root run as somebody else, and must be able to reach it.
    """
    if os.geteuid() == 0:
        return Path("/var/cache/tidegate")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"


@contextmanager
def only_one(name: str) -> Iterator[Path]:
    """Hold the lock of something in the cache: who comes second finds it made, not half made."""
    path = cache_folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
    except OSError as error:
        raise MissingProgram(f"{path} cannot be made: {error}") from error


def fetched_root(name: str) -> Path:
    """Return the folder that programs are unpacked in; they are fetched when it isn't there yet.

    Args:
        name: Of `PACKAGES`.

    Raises:
        MissingProgram: They can't be had here; the text says why.
    """
    with only_one(name) as root:
        if not root.exists():
            making = root.with_name(f"{name}.new")
            shutil.rmtree(making, ignore_errors=True)
            _fetch(making, PACKAGES[name])
            (making / "root").rename(root)
            shutil.rmtree(making)
    return root


def run_by_loader(root: Path, *libraries: str) -> tuple[str, ...]:
    """Return how to call a program in such a folder, but for the program.

    Args:
        root: The folder.
        libraries: Folders of libraries that only its own programs use.
    """
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*"))
    common = next(root.glob("usr/lib/*-linux-gnu"))
    path = ":".join(str(folder) for folder in (common, *(common / each for each in libraries)))
    return (str(loader), "--library-path", path)


def _fetch(folder: Path, packages: Sequence[str]) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise MissingProgram(
                f"MySQL is not installed, and without {program} it can't be fetched from Debian:"
                " put its programs in PATH"
            )
    for part in ("lists/partial", "archives/partial", "root"):
        (folder / part).mkdir(parents=True)
    # An empty list of what is installed: all that the packages need is fetched too.
    (folder / "status").touch()
    trusted = f" [signed-by={KEYRING}]" if KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb{trusted} {_mirror()} {SUITE} main\n")
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache::archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Acquire::Languages": "none",
        "APT::Install-Recommends": "false",
        # Nobody else's folder, so nobody else's rights.
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    _run([*apt, "--yes", "--download-only", "install", *packages])
    for package in sorted((folder / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(folder / "root")])


def _mirror() -> str:
    """Return where this machine's own packages come from."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian"],
        capture_output=True,
        text=True,
        check=False,
    )
    return next(iter(asked.stdout.split()), MIRROR).rstrip("/")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingProgram(f"MySQL was not fetched within {PATIENCE:g} s") from error
    if done.returncode:
        said = " | ".join(done.stdout.splitlines()[-3:])
        raise MissingProgram(f"MySQL could not be fetched from Debian: {said}")
