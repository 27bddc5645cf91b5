"""Find the programs of MariaDB and of MySQL, and prepare data folders with them.

To make a data folder takes MySQL four seconds and MariaDB one, so each is made once and kept in
the cache; servers start on copies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from proxy.demo.mysql_root import fetched_root, only_one, run_by_loader
from proxy.demo.processes import MissingProgram
from proxy.demo.programs import Account, finish, spawn

Flavour = Literal["mariadb", "mysql"]

OLDEST_MARIADB: Final = (10, 6)
OLDEST_MYSQL: Final = (8, 0)
SERVER_FOLDERS: Final = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin")

# As small as it gets: a copy of the log is made with every server.
SMALL: Final = {
    "mariadb": ("--innodb-log-file-size=8M",),
    "mysql": ("--innodb-redo-log-capacity=8M",),
}


@dataclass(frozen=True, slots=True)
class Programs:
    """One installed MariaDB or MySQL.

    Args:
        flavour: Which of the two.
        version: (10, 11) for 10.11.19.
        server: How to call the server program.
        client: How to call the command-line client; empty where there is none.
        initializer: How to make a data folder, but for its path.
        plugins: The folder of the server's plugins.
    """

    flavour: Flavour
    version: tuple[int, int]
    server: tuple[str, ...]
    client: tuple[str, ...]
    initializer: tuple[str, ...]
    plugins: Path

    def prepare(self, data: Path, account: Account) -> None:
        """Make a data folder: no databases, and root who may log in over the Unix socket only."""
        template = self._template(account)
        log = data.with_suffix(".log")
        copy = ["cp", "-a", "--reflink=auto", str(template), str(data)]
        finish(spawn(account, copy, log=log), log=log)
        # Each server has an id of its own.
        (data / "auto.cnf").unlink(missing_ok=True)

    def _template(self, account: Account) -> Path:
        version = ".".join(map(str, self.version))
        with only_one(f"{self.flavour}-{version}-{account.name}") as folder:
            data = folder / "data"
            if not data.exists():
                account.make_folder(folder)
                making, log = folder / "data.new", folder / "data.log"
                shutil.rmtree(making, ignore_errors=True)
                command = [*self.initializer, f"--datadir={making}", *SMALL[self.flavour]]
                finish(spawn(account, command, log=log), log=log)
                making.rename(data)
        return data


def find_mariadb() -> Programs:
    """Find MariaDB on this machine.

    Raises:
        MissingProgram: It isn't installed, or not new enough.
    """
    for server in _candidates("mariadbd"):
        said = _version_of([str(server)])
        version = _parse(r"Ver (\d+)\.(\d+)[^ ]*MariaDB", said)
        initializer = shutil.which("mariadb-install-db")
        if version < OLDEST_MARIADB or initializer is None:
            continue
        return Programs(
            "mariadb",
            version,
            (str(server),),
            _client("mariadb"),
            (
                *(initializer, "--no-defaults", "--auth-root-authentication-method=normal"),
                *("--skip-test-db", "--skip-name-resolve"),
            ),
            _first_folder("/usr/lib/mysql/plugin", "/usr/lib64/mariadb/plugin"),
        )
    raise MissingProgram(
        f"a MariaDB server ({_text(OLDEST_MARIADB)} or newer) is not installed: on Debian or"
        " Ubuntu run `make setup-servers` as root; elsewhere put its `mariadbd` and"
        " `mariadb-install-db` in PATH"
    )


def find_mysql() -> Programs:
    """Find MySQL on this machine; where only MariaDB is installed, fetch it.

    Raises:
        MissingProgram: It can't be had here.
    """
    for server in _candidates("mysqld"):
        version = _parse(r"Ver (\d+)\.(\d+)(?!.*MariaDB)", _version_of([str(server)]))
        if version >= OLDEST_MYSQL:
            plugins = _first_folder("/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin")
            return _mysql(version, (str(server),), _client("mysql"), plugins)
    root = fetched_root("mysql")
    run = run_by_loader(root, "mysql/private")
    server_command = (*run, str(root / "usr/sbin/mysqld"))
    version = _parse(r"Ver (\d+)\.(\d+)", _version_of(server_command))
    return _mysql(
        version,
        (*server_command, "--no-defaults", f"--basedir={root / 'usr'}"),
        (*run, str(root / "usr/bin/mysql")),
        root / "usr/lib/mysql/plugin",
    )


def _mysql(
    version: tuple[int, int], server: tuple[str, ...], client: tuple[str, ...], plugins: Path
) -> Programs:
    command = server if "--no-defaults" in server else (*server, "--no-defaults")
    initializer = (*command, "--initialize-insecure", "--secure-file-priv=")
    return Programs("mysql", version, command, client, initializer, plugins)


def _candidates(program: str) -> Iterator[Path]:
    for folder in (*os.get_exec_path(), *SERVER_FOLDERS):
        if os.access(path := Path(folder) / program, os.X_OK):
            yield path


def _client(name: str) -> tuple[str, ...]:
    found = shutil.which(name)
    return (found,) if found else ()


def _first_folder(*names: str) -> Path:
    return next((Path(name) for name in names if Path(name).is_dir()), Path(names[0]))


def _version_of(command: list[str] | tuple[str, ...]) -> str:
    asked = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return asked.stdout


def _parse(pattern: str, text: str) -> tuple[int, int]:
    found = re.search(pattern, text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
