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
            "CREATE TABLE spoken AS SELECT 'now'::text AS w, '{now}'::text[] AS a, now() AS at"
        )
        connection.execute("CREATE VIEW heard AS SELECT w::timestamptz AS at FROM spoken")
        connection.execute("CREATE TYPE saying AS (at timestamptz)")
        yield
        connection.execute("DROP TABLE spoken CASCADE")
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
        "SELECT w::timestamptz FROM spoken",
        "SELECT CAST(w AS timestamp) FROM spoken",
        "SELECT timestamptz(w) FROM spoken",
        "SELECT a::timestamptz[] FROM spoken",
        "SELECT (array[w]::timestamptz[])[1] FROM spoken",
        "SELECT row(w)::saying FROM spoken",
        "SELECT at FROM heard",
        "SELECT x.at FROM spoken, jsonb_to_recordset(jsonb_build_array(to_jsonb(spoken) - 'at'"
        " || jsonb_build_object('at', w))) AS x(at timestamptz)",
        "SELECT (jsonb_populate_record(null::saying, jsonb_build_object('at', w))).at FROM spoken",
        "SELECT tstzrange('(' || w || ',)') FROM spoken",
    ],
)
def test_a_text_that_says_now_is_cast_anew_each_time(
    app: Application, module_proxy: ProxyUnderTest, sql: str
) -> None:
    ask_until_hit(app, module_proxy, "SELECT w FROM spoken")
    with app.connect() as connection:
        answers = {str(connection.execute(sql).fetchall()) for _ in range(ASKED)}
    assert len(answers) == ASKED


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT at::date, count(*)::int FROM spoken GROUP BY at::date",
        "SELECT date_trunc('day', at)::date FROM spoken WHERE date(at) >= '2024-01-01'::date",
    ],
)
def test_a_time_that_is_cast_is_kept(
    app: Application, module_proxy: ProxyUnderTest, sql: str
) -> None:
    ask_until_hit(app, module_proxy, sql)
