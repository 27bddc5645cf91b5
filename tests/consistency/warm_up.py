"""Before a run: the proxy knows the definitions, reads at replicas, and answers from its cache.

Without that, a run on a slow machine would be over before it tries what it is there for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

from tests.integration.proxy_under_test import ProxyUnderTest

LONGEST: Final = 60.0


def warm_up(dsn: str, proxy: ProxyUnderTest, replicas: Sequence[str]) -> None:
    """Read until a replica has answered; where there is none, until a result is kept.

    The first login with a password itself is made here, too.

    Args:
        dsn: Of a database with all tables.
        proxy: Whom to read through.
        replicas: Their addresses, as it was told them.
    """
    ends = time.monotonic() + LONGEST
    number = 0
    with closing(_connected(dsn)) as connection, closing(connection.cursor()) as cursor:
        before = _read(proxy, replicas)
        while _read(proxy, replicas) == before:
            assert time.monotonic() < ends, "no read left the primary"
            number += 1  # a text that nobody has the answer to
            cursor.execute(f"SELECT v FROM cold WHERE k = 1 AND v > -{number}")


def _connected(dsn: str) -> Any:
    if dsn.startswith("postgresql:"):
        return psycopg.connect(dsn, autocommit=True)
    parts = urlsplit(dsn)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 0,
        user=parts.username,
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/"),
        autocommit=True,
    )


def _read(proxy: ProxyUnderTest, replicas: Sequence[str]) -> float:
    if not replicas:
        return proxy.metric("tidegate_cache_fills_total")
    return sum(proxy.metric("tidegate_reads_total", server=it) for it in replicas)
