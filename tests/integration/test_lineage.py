"""Functions and triggers through the proxy: what they read is kept, and what they write is seen."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.processes import wait_until
from tests.integration.application import Application, Row
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

SCHEMA = """
CREATE SCHEMA line;
CREATE TABLE line.rates (id int PRIMARY KEY, rate int);
CREATE TABLE line.orders (id int GENERATED ALWAYS AS IDENTITY, n serial, amount int);
CREATE TABLE line.log (n int);
CREATE TABLE line.quiet (n int);
INSERT INTO line.rates VALUES (1, 10);
CREATE FUNCTION line.price(int) RETURNS int STABLE LANGUAGE plpgsql AS $$
DECLARE r line.rates%ROWTYPE;
BEGIN SELECT * INTO STRICT r FROM line.rates WHERE id = $1; RETURN r.rate; END $$;
CREATE FUNCTION line.made(int) RETURNS int STABLE LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN EXECUTE 'SELECT rate FROM line.' || 'rates WHERE id = $1' INTO n USING $1; RETURN n; END $$;
CREATE FUNCTION line.looks() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM line.rates';
CREATE FUNCTION line.raises(int) RETURNS void LANGUAGE sql
    AS 'UPDATE line.rates SET rate = $1 WHERE id = 1';
CREATE FUNCTION line.logs() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO log VALUES (NEW.amount); RETURN NEW; END $$;
CREATE TRIGGER t AFTER INSERT ON line.orders FOR EACH ROW EXECUTE FUNCTION line.logs();
CREATE PROCEDURE line.adds(n int) LANGUAGE plpgsql
    AS $$ BEGIN FOR i IN 1..n LOOP INSERT INTO log VALUES (i); COMMIT; END LOOP; END $$;
CREATE PROCEDURE line.adds(text, OUT n int) LANGUAGE plpgsql
    AS $$ BEGIN CALL line.adds(length($1)); n := length($1); END $$;
CREATE PROCEDURE line.orders(n int) LANGUAGE sql
    AS 'INSERT INTO line.orders (amount) SELECT generate_series(1, n)';
CREATE MATERIALIZED VIEW line.sums AS SELECT count(*) AS n FROM line.log;
"""
LOG = "SELECT count(*)::int FROM line.log"
QUIET = "SELECT count(*)::int FROM line.quiet"
DECLARED = {"line.made": {"reads": ["line.rates"]}}


@pytest.fixture(scope="module", autouse=True)
def _schema(direct: Application) -> Iterator[None]:
    with direct.connect() as connection:
        connection.execute(SCHEMA)
    yield
    with direct.connect() as connection:
        connection.execute("DROP SCHEMA line CASCADE")


@pytest.fixture(scope="module")
def proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    return start_module_proxy(functions=DECLARED, out_of_band="none")


@pytest.fixture
def connection(direct: Application, proxy: ProxyUnderTest) -> Iterator[psycopg.Connection[Row]]:
    # A text that psycopg prepares, at its fifth use, is another request than before.
    with direct.at(proxy.port).connect(prepare_threshold=None) as connection:
        connection.execute("SET search_path = line")
        yield connection


def fetch(connection: psycopg.Connection[Row], sql: str) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def is_hit(connection: psycopg.Connection[Row], proxy: ProxyUnderTest, sql: str) -> bool:
    before = proxy.metric("tidegate_reads_total", server="cache")
    fetch(connection, sql)
    return proxy.metric("tidegate_reads_total", server="cache") > before


def ask_until_hit(connection: psycopg.Connection[Row], proxy: ProxyUnderTest, *texts: str) -> None:
    for sql in texts:
        wait_until(lambda sql=sql: is_hit(connection, proxy, sql), f"{sql} from the cache")


@pytest.mark.parametrize("call", ["SELECT line.price(1)", "SELECT line.made(1)"])
def test_a_stable_function_is_kept_until_its_tables_change(
    connection: psycopg.Connection[Row], proxy: ProxyUnderTest, call: str
) -> None:
    for rate in (20, 30):
        connection.execute(f"SELECT line.raises({rate})")
        assert fetch(connection, call) == rate
        ask_until_hit(connection, proxy, call, QUIET)
        connection.execute("INSERT INTO line.log VALUES (1)")
        assert is_hit(connection, proxy, call)
        connection.execute(f"UPDATE line.rates SET rate = {rate + 1}")
        assert fetch(connection, call) == rate + 1


def test_what_a_trigger_writes_is_seen_and_nothing_else_is_forgotten(
    connection: psycopg.Connection[Row], proxy: ProxyUnderTest
) -> None:
    before = fetch(connection, LOG)
    assert isinstance(before, int)
    ask_until_hit(connection, proxy, LOG, QUIET)
    connection.execute("INSERT INTO line.orders (amount) VALUES (1), (2)")
    assert fetch(connection, LOG) == before + 2
    assert is_hit(connection, proxy, QUIET)


def test_a_volatile_function_that_only_reads_forgets_nothing(
    connection: psycopg.Connection[Row], proxy: ProxyUnderTest
) -> None:
    ask_until_hit(connection, proxy, LOG, QUIET)
    for _ in range(3):
        assert fetch(connection, "SELECT line.looks()") == 1
    assert is_hit(connection, proxy, LOG)
    assert is_hit(connection, proxy, QUIET)


@pytest.mark.parametrize(
    ("sql", "read", "change"),
    [
        ("COPY line.orders (amount) FROM STDIN", LOG, 1),
        ("REFRESH MATERIALIZED VIEW line.sums", "SELECT n::int FROM line.sums", None),
        ("MERGE INTO line.orders o USING (SELECT 1) x ON false WHEN NOT MATCHED THEN"
         " INSERT (amount) VALUES (1)", LOG, 1),
        ("WITH w AS (INSERT INTO line.orders (amount) VALUES (5) RETURNING amount)"
         " INSERT INTO line.log SELECT amount FROM w", LOG, 2),
        ("TRUNCATE line.log", LOG, None),
        ("CALL line.adds(3)", LOG, 3),
        ("CALL adds('four', NULL)", LOG, 4),
        ("CALL orders(n => 2)", LOG, 2),
    ],
)  # fmt: skip
def test_other_ways_to_write_are_seen_and_forget_nothing_else(
    connection: psycopg.Connection[Row],
    proxy: ProxyUnderTest,
    direct: Application,
    sql: str,
    read: str,
    change: int | None,
) -> None:
    before = fetch(connection, read)
    assert isinstance(before, int)
    ask_until_hit(connection, proxy, read, QUIET)
    if sql.startswith("COPY"):
        with connection.cursor().copy(sql) as copy:
            copy.write_row((7,))
    else:
        connection.execute(sql)
    with direct.connect() as past_the_proxy:
        expected = fetch(past_the_proxy, read)
    assert expected == (fetch(connection, read) if change is None else before + change)
    assert fetch(connection, read) == expected
    assert is_hit(connection, proxy, QUIET)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE line.made_{} AS SELECT * FROM line.log",
        "SELECT * INTO line.made_{} FROM line.log",
    ],
)
def test_a_table_that_a_query_makes_is_there(connection: psycopg.Connection[Row], sql: str) -> None:
    name = "copy" if sql.startswith("CREATE") else "into"
    connection.execute(sql.format(name))
    counted = fetch(connection, f"SELECT count(*)::int FROM line.made_{name}")
    assert counted == fetch(connection, LOG)
    connection.execute(f"DROP TABLE line.made_{name}")
