"""MariaDB or MySQL with the table of sysbench, HAProxy and MySQL Router."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final, final

from benchmarks import sysbench
from benchmarks.contenders import (
    DATABASE,
    HAPROXY,
    PASSWORD,
    ROUTER,
    USER,
    Contender,
    House,
    Server,
)
from benchmarks.mysql_rivals import HAProxy, MySQLRouter, find_router, version_of
from benchmarks.rival import Rival, find_program
from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster, find_programs
from proxy.demo.mysql_database import NAMES
from proxy.demo.mysql_programs import Flavour
from proxy.demo.processes import MissingProgram

ROWS: Final = 10_000
"""For each step of the scale."""

SETTINGS: Final = {"max_connections": "600", "innodb_buffer_pool_size": "256M"}


@final
class MySQLHouse(House):
    """See the base; a step of the scale is 10,000 rows.

    Args:
        flavour: Which of the two.
        folder: Temporary; everything is kept in it.
        scale: Of the table.
    """

    engine = "mysql"
    cluster: MySQLCluster

    def __init__(self, flavour: Flavour, folder: Path, scale: int) -> None:
        cluster = MySQLCluster(folder / "my", find_programs(flavour), replicas=2, settings=SETTINGS)
        super().__init__(folder, scale, cluster)
        try:
            self._router = find_router()
        except MissingProgram as error:
            self.absent[ROUTER] = str(error)

    @property
    def servers(self) -> list[Server]:
        """See the base."""
        return [*self.cluster.servers]

    @property
    def control(self) -> tuple[str, str]:
        """See the base."""
        return CONTROL_USER, self.cluster.control_password

    def load(self) -> None:
        """See the base."""
        primary = self.cluster.primary
        primary.execute(
            f"CREATE DATABASE {DATABASE}; CREATE USER {USER} IDENTIFIED BY '{PASSWORD}';"
            f" GRANT ALL ON {DATABASE}.* TO {USER}"
        )
        sysbench.prepare(
            self.scale * ROWS, port=primary.port, database=DATABASE, user=USER, password=PASSWORD
        )
        self.cluster.wait_replayed(timeout=120.0)

    def versions(self) -> dict[str, object]:
        """See the base."""
        programs = self.cluster.programs
        return {
            NAMES[programs.flavour]: ".".join(map(str, programs.version)),
            HAPROXY: version_of(find_program(HAPROXY)),
            ROUTER: "none" if ROUTER in self.absent else version_of(*self._router.call),
            "sysbench": sysbench.version(),
        }

    def _start_rival(self, name: str, stack: ExitStack) -> Contender:
        account, port = self.cluster.account, self.cluster.primary.port
        rival: Rival
        if name == HAPROXY:
            rival = HAProxy(self.folder / "haproxy", account, port)
        else:
            rival = MySQLRouter(self.folder / "router", account, self._router, port)
        stack.enter_context(rival)
        return Contender(name, rival.port, rival.pid)
