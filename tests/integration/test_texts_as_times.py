"""A text in a row that says now: cast to a time by a statement, it is another moment each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest

ASKED = 20


@pytest.fixture(scope="module", autouse=True)
def _table(direct: Application) -> Iterator[None]:
    with direct.connect() as connection:
        connection.execute(
            "CREATE TABLE said AS SELECT 'now'::text AS w, '{now}'::text[] AS a, now() AS at"
        )
        connection.execute("CREATE VIEW heard AS SELECT w::timestamptz AS at FROM said")
        connection.execute("CREATE TYPE saying AS (at timestamptz)")
        yield
        connection.execute("DROP TABLE said CASCADE")
        connection.execute("DROP TYPE saying")


def ask_until_hit(app: Application, proxy: ProxyUnderTest, sql: str) -> None:
    """Ask until the cache answers."""
    with app.connect() as connection:

        def is_hit() -> bool:
            before = proxy.metric("tidegate_reads_total", server="cache")
            connection.execute(sql)
            return proxy.metric("tidegate_reads_total", server="cache") > before

        wait_until(is_hit, "an answer from the cache")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT w::timestamptz FROM said",
        "SELECT CAST(w AS timestamp) FROM said",
        "SELECT timestamptz(w) FROM said",
        "SELECT a::timestamptz[] FROM said",
        "SELECT (array[w]::timestamptz[])[1] FROM said",
        "SELECT row(w)::saying FROM said",
        "SELECT at FROM heard",
        "SELECT x.at FROM said, jsonb_to_recordset(jsonb_build_array(to_jsonb(said) - 'at'"
        " || jsonb_build_object('at', w))) AS x(at timestamptz)",
        "SELECT (jsonb_populate_record(null::saying, jsonb_build_object('at', w))).at FROM said",
        "SELECT tstzrange('(' || w || ',)') FROM said",
    ],
)
def test_a_text_that_says_now_is_cast_anew_each_time(
    app: Application, module_proxy: ProxyUnderTest, sql: str
) -> None:
    ask_until_hit(app, module_proxy, "SELECT w FROM said")
    with app.connect() as connection:
        answers = {str(connection.execute(sql).fetchall()) for _ in range(ASKED)}
    assert len(answers) == ASKED


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT at::date, count(*)::int FROM said GROUP BY at::date",
        "SELECT date_trunc('day', at)::date FROM said WHERE date(at) >= '2024-01-01'::date",
    ],
)
def test_a_time_that_is_cast_is_kept(
    app: Application, module_proxy: ProxyUnderTest, sql: str
) -> None:
    ask_until_hit(app, module_proxy, sql)
