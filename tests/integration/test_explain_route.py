"""EXPLAIN ROUTE and SHOW tidegate.x: the proxy is asked, from any client and at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from proxy.demo.processes import wait_until
from tests.integration.application import Application

ASKED = "EXPLAIN ROUTE SELECT note FROM diary WHERE day = "


@pytest.fixture(autouse=True)
def _tables(app: Application) -> None:
    with app.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS diary")
        connection.execute("CREATE TABLE diary (day int PRIMARY KEY, note text)")


@pytest.fixture
def client(app: Application) -> Iterator[psycopg.Connection[Any]]:
    with app.connect() as connection:
        wait_until(lambda: goes(connection, f"{ASKED} 1") == "replica", "the catalog to be read")
        yield connection


def facts(client: psycopg.Connection[Any], sql: str, *values: object, **how: Any) -> dict[str, str]:
    return dict(client.execute(sql.encode(), values or None, **how).fetchall())


def goes(client: psycopg.Connection[Any], sql: str) -> str:
    return facts(client, sql)["goes to"].split()[0]


@pytest.mark.parametrize("how", [{}, {"prepare": True}, {"binary": True}], ids=str)
def test_it_is_asked_with_parameters(client: psycopg.Connection[Any], how: dict[str, Any]) -> None:
    for _ in range(2):
        found = facts(client, f"{ASKED} %s", 1, **how)
        assert found["kind"] == "read"
        assert found["reads"] == "public.diary"
        assert found["reason"] == "replica"
    assert client.execute("SELECT 1").fetchone() == (1,)


async def test_asyncpg_asks(app: Application, client: psycopg.Connection[Any]) -> None:
    async with app.asyncpg() as connection:
        assert dict(await connection.fetch(f"{ASKED} 1"))["reason"] == "replica"
        assert dict(await connection.fetch(f"{ASKED} $1", "1"))["reason"] == "replica"
        async with connection.transaction():
            assert dict(await connection.fetch(f"{ASKED} $1", "1"))["reason"] == "replica"
            assert await connection.fetchval("SELECT txid_current() > 0")
            assert dict(await connection.fetch(f"{ASKED} $1", "1"))["reason"] == "transaction"
        assert await connection.fetchval("SELECT 2") == 2


def test_it_is_asked_in_a_transaction_and_does_it_no_harm(client: psycopg.Connection[Any]) -> None:
    with client.transaction():
        client.execute("INSERT INTO diary VALUES (1, 'a')")
        found = facts(client, f"{ASKED} 1")
        assert found["goes to"].startswith("primary")
        assert found["reason"] == "transaction"
    assert client.execute("SELECT count(*) FROM diary").fetchone() == (1,)


def test_it_is_asked_in_a_failed_transaction(client: psycopg.Connection[Any]) -> None:
    client.execute("BEGIN")
    with pytest.raises(psycopg.errors.DivisionByZero):
        client.execute("SELECT 1/0")
    assert facts(client, f"{ASKED} 1")["reason"] == "transaction"
    assert client.info.transaction_status is TransactionStatus.INERROR
    client.execute("ROLLBACK")


def test_a_pin_is_a_reason(client: psycopg.Connection[Any]) -> None:
    client.execute("CREATE TEMP TABLE mine (a int)")
    found = facts(client, f"{ASKED} 1")
    assert found["goes to"].startswith("primary")
    assert found["reason"] == "pinned"


@pytest.mark.parametrize(
    "sql",
    [
        "explain   route\n select note from diary",
        "/* who knows */ EXPLAIN /* a /* nested */ one */ ROUTE SELECT note FROM diary;",
        "-- who knows\nEXPLAIN ROUTE -- where?\nSELECT note FROM diary",
    ],
)
def test_space_and_comments_do_not_matter(client: psycopg.Connection[Any], sql: str) -> None:
    assert facts(client, sql)["reads"] == "public.diary"


def test_what_it_says_of_other_statements(client: psycopg.Connection[Any]) -> None:
    found = facts(client, "EXPLAIN ROUTE UPDATE diary SET note = ''")
    assert (found["kind"], found["writes"], found["cache"]) == ("write", "public.diary", "no")
    found = facts(client, "EXPLAIN ROUTE SELEC note")
    assert found["reason"] == "unparsed (no statement begins with selec)"
    found = facts(client, "EXPLAIN ROUTE SELECT * FROM nowhere")
    assert found["reason"] == "unknown_relation (nowhere)"


def test_it_says_what_is_known_of_the_text(client: psycopg.Connection[Any]) -> None:
    found = facts(client, "EXPLAIN ROUTE SELECT lower(note) FROM diary WHERE day = 17")
    assert found["statement"] == "select lower (note) from diary where day = ?"
    assert found["functions"] == "lower (immutable)"
    assert found["in a transaction"].startswith("served beside it")
    found = facts(client, "EXPLAIN ROUTE SELECT now(), note FROM diary")
    assert found["cache"] == "no (clock)"
    assert found["in a transaction"].startswith("opens it")


def test_it_tells_a_statement_that_is_cached_from_one_that_is_not(
    client: psycopg.Connection[Any],
) -> None:
    asked = "SELECT note FROM diary WHERE day = %s"
    for how in ({"prepare": True}, {}):
        client.execute("INSERT INTO diary VALUES (1, 'a') ON CONFLICT (day) DO NOTHING")
        assert facts(client, f"EXPLAIN ROUTE {asked}", 1, **how)["cache"] == "would be kept"
        client.execute(asked, (1,), **how)
        assert facts(client, f"EXPLAIN ROUTE {asked}", 1, **how)["cache"] == "hit now"
        assert facts(client, f"EXPLAIN ROUTE {asked}", 2, **how)["cache"] == "would be kept"
        client.execute("UPDATE diary SET note = 'b'")
        assert facts(client, f"EXPLAIN ROUTE {asked}", 1, **how)["cache"] == "would be kept"
    client.execute("SELECT note FROM diary WHERE day = 3")
    assert facts(client, "EXPLAIN ROUTE SELECT note FROM diary WHERE day = 3")["cache"] == "hit now"


def test_it_says_of_each_server_how_it_is(
    client: psycopg.Connection[Any], app: Application
) -> None:
    client.execute("SELECT note FROM diary")
    found = facts(client, f"{ASKED} 1")
    servers = {name: value for name, value in found.items() if name.startswith("127.0.0.1:")}
    assert len(servers) == 3
    replicas = [value for value in servers.values() if value.startswith("replica, replayed ")]
    assert len(replicas) == 2
    assert all(value.endswith(", eligible") for value in replicas)
    assert all(" bytes behind, " in value for value in replicas)
    assert any(" ms, " in value for value in servers.values())
    (primary,) = [value for value in servers.values() if value.startswith("primary, at ")]
    assert primary.endswith("not eligible: only when no replica can")
    with client.transaction():
        client.execute("INSERT INTO diary VALUES (2, 'a')")
        found = facts(client, f"{ASKED} 1")
        assert found["cache"] == "no (transaction)"
        assert found["advice"]


def test_among_other_statements_it_is_refused_in_so_many_words(
    client: psycopg.Connection[Any],
) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="by itself"):
        client.execute(f"SELECT 1; {ASKED} 1".encode())
    with client.pipeline() as pipeline:
        first = client.execute("SELECT 1")
        client.execute(f"{ASKED} 1".encode())
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="by itself"):
            pipeline.sync()
    del first
    assert client.execute("SELECT 2").fetchone() == (2,)


def test_settings_of_the_proxy_are_shown_or_unknown(client: psycopg.Connection[Any]) -> None:
    assert client.execute("SHOW tidegate.version").fetchone() is not None
    for sql in ("SHOW tidegate.nothing", "SET tidegate.nothing = 1", "RESET tidegate.nothing"):
        with pytest.raises(psycopg.Error, match=r'parameter "tidegate\.nothing"'):
            client.execute(sql)
    assert client.execute("SELECT 2").fetchone() == (2,)
