"""docs/operating.md and what it points to, taken at their word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.local_mysql import CONTROL_RIGHTS, LOG_RIGHTS
from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.errors import Fault
from proxy.types import PinReason
from proxy.wire.postgres.errors import SQLSTATES
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ROOT, ProxyUnderTest

GUIDE = "".join(
    (Path(ROOT) / "docs" / f"{name}.md").read_text()
    for name in ("operating", "operating-mysql", "second-level")
)
RIGHTS, FOR_THE_LOG, FUNCTION, *OF_MYSQL, FOR_BINARY_LOGS = re.findall(
    r"```sql\n(.*?)```", GUIDE, re.DOTALL
)
AUTH_QUERY = re.findall(r'^auth_query = "(.*)"$', GUIDE, re.MULTILINE)[0]
OF_PASSWORDS = re.findall(r"GRANT SELECT ON .*", RIGHTS)[0]


@pytest.fixture(params=["pg_authid", "function"])
def proxy(
    request: pytest.FixtureRequest, cluster: PostgresCluster, start_proxy: StartProxy
) -> Iterator[ProxyUnderTest]:
    """A proxy whose control user was made as the guide says, in either way."""
    group = {"cache": False}
    if request.param == "function":
        cluster.primary.execute(RIGHTS.replace(OF_PASSWORDS, "") + FOR_THE_LOG + FUNCTION)
        group["auth_query"] = AUTH_QUERY
    else:
        cluster.primary.execute(RIGHTS)
    cluster.wait_replayed()
    yield start_proxy(auth_user="tidegate", auth_password="choose one", **group)
    cluster.primary.execute("DROP FUNCTION IF EXISTS public.tidegate_login(text)")
    cluster.primary.execute("DROP OWNED BY tidegate; DROP ROLE tidegate")


def test_the_control_user_needs_no_more_rights_than_these(
    proxy: ProxyUnderTest, direct: Application, cluster: PostgresCluster
) -> None:
    with direct.at(proxy.port).connect() as client:
        client.execute("CREATE TABLE IF NOT EXISTS watched (a int)")
        client.execute("INSERT INTO watched VALUES (1)")

        def goes() -> str:
            found = dict(client.execute("EXPLAIN ROUTE SELECT a FROM watched").fetchall())
            return str(found["goes to"]).split()[0]

        wait_until(lambda: goes() == "replica", "reads to leave the primary")
        assert client.execute("SELECT count(*) FROM watched").fetchone() is not None
    for server in cluster.servers:
        # What ends the process of a lost commit, and sees it gone.
        with direct.at(server.port).connect() as victim:
            control = direct.at(server.port).like(
                user="tidegate", password="choose one", database="postgres"
            )
            pid = victim.info.backend_pid
            with control.connect() as eyes:
                seen = "SELECT backend_start IS NOT NULL FROM pg_stat_get_activity(%s)"
                assert eyes.execute(seen, (pid,)).fetchone() == (True,)
                assert eyes.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
    assert "permission denied" not in proxy.log.read_text()


def test_metrics_that_the_guide_names_are_there(proxy: ProxyUnderTest) -> None:
    _, text = proxy.get("/metrics")
    told = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"`((?:tidegate|process)_[a-z_]+)`", GUIDE)) <= told


def test_reasons_and_sqlstates_of_the_guide_are_all_there_are() -> None:
    named = set(re.findall(r"`([a-z_]+)`", GUIDE))
    assert {reason.value for reason in PinReason} <= named
    ours = {state.decode() for fault, state in SQLSTATES.items() if fault not in FROM_A_SERVER}
    assert set(re.findall(r"^\| `([0-9A-Z]{5})`", GUIDE, re.MULTILINE)) <= ours


def test_mysql_control_users_get_the_rights_that_all_our_own_ones_have() -> None:
    for sql, rights in zip(OF_MYSQL, CONTROL_RIGHTS.values(), strict=True):
        assert f"GRANT {rights} ON *.* TO" in sql
    for rights in LOG_RIGHTS.values():
        assert f"GRANT {rights} ON *.* TO" in FOR_BINARY_LOGS


FROM_A_SERVER = (Fault.UNKNOWN_DATABASE,)
"""What only a server finds wrong."""
