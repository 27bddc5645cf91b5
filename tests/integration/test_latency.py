"""How fast a server is, is measured finely enough to tell two servers apart."""

from __future__ import annotations

from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest


def test_statements_are_timed_in_less_than_milliseconds(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.connect() as connection:
        for _ in range(20):
            connection.execute("SELECT txid_current()")
    total = module_proxy.metric("tidegate_statement_seconds_sum")
    assert total > 0
    assert abs(total * 1e3 - round(total * 1e3)) > 1e-6, "a clock that ticks in milliseconds"
