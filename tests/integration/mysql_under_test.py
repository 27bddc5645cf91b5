"""An application of MySQL or MariaDB, and a proxy in front of their servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster
from tests.integration.proxy_under_test import SERVE, ProxyUnderTest, Setting

USER = "app"
SECOND = "second"
PASSWORD = "p:a/ss w'%rd"
MAX_PACKET = 64 * 1024 * 1024
SEVERAL = CLIENT.MULTI_STATEMENTS


@dataclass(frozen=True)
class MySQLApplication:
    """Who connects where: to the primary itself, or through a proxy."""

    port: int
    database: str
    flavour: str
    user: str = USER
    password: str = PASSWORD

    def at(self, port: int) -> MySQLApplication:
        """The same, by another way."""
        return replace(self, port=port)

    def options(self, **other: Any) -> dict[str, Any]:
        """What the drivers of Python all call by the same names."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            **other,
        }

    def connect(self, **other: Any) -> pymysql.Connection[Any]:
        """Connect by PyMySQL, each statement a transaction unless told otherwise."""
        options = self.options(autocommit=True, read_timeout=6, charset="utf8mb4")
        return pymysql.connect(**{**options, **other})


@contextmanager
def application(cluster: MySQLCluster) -> Iterator[MySQLApplication]:
    """Make a user with a database of its own, who may do what applications do."""
    database = "conversations"
    run = cluster.primary.execute
    secret = PASSWORD.replace("'", "''")
    run(f"CREATE USER {USER} IDENTIFIED BY '{secret}'")
    run(f"CREATE DATABASE {database}")
    run(f"CREATE DATABASE {database}_other")
    run(f"GRANT ALL ON *.* TO {USER}")
    run(f"CREATE USER {SECOND} IDENTIFIED BY '{secret}'")
    run(f"GRANT SELECT ON {database}.* TO {SECOND}")
    for server in cluster.servers:
        server.execute(f"SET GLOBAL local_infile = ON, max_allowed_packet = {MAX_PACKET}")
    cluster.wait_replayed()
    try:
        yield MySQLApplication(cluster.primary.port, database, cluster.flavour)
    finally:  # the cluster is others', too
        run(f"DROP DATABASE {database}")
        run(f"DROP DATABASE {database}_other")
        run(f"DROP USER {USER}, {SECOND}")


def mysql_proxy(
    folder: Path,
    cluster: MySQLCluster,
    servers: Sequence[str] = (),
    command: Sequence[str] = SERVE,
    sections: Mapping[str, Mapping[str, Setting]] | None = None,
    workers: int = 1,
    **group: Setting,
) -> ProxyUnderTest:
    """Make a proxy in front of a cluster.

    Args:
        folder: Gets its configuration and its log.
        cluster: Its servers.
        servers: Addresses in place of the cluster's own.
        command: What is run.
        sections: More tables of its configuration.
        workers: How many processes.
        group: Settings of its server group.
    """
    return ProxyUnderTest(
        folder,
        servers or [server.address for server in cluster.servers],
        auth_user=CONTROL_USER,
        auth_password=cluster.control_password,
        group={"engine": "mysql", "server_tls_sslmode": "disable", **group},
        sections=sections,
        workers=workers,
        command=command,
    )
