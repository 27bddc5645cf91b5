"""What is said of a statement without a server."""

from __future__ import annotations

import pytest

from proxy.doctor.explaining import explain
from proxy.errors import Unanswerable
from proxy.routing.advice import ADVICE, MEANINGS
from proxy.settings import ServerGroup
from proxy.settings.load import parse
from proxy.settings.values import Address, PrimaryReads
from proxy.sql.catalog import Catalog
from proxy.types import Reason
from tests.unit.sql.test_catalog import Database

RULES = """
[server_groups.app]
servers = ["10.0.0.1:5432"]
auth_user = "tidegate"
[[server_groups.app.rules]]
name = "orders"
tables = ["public.orders"]
route = "primary"
"""
SERVERS = (Address("10.0.0.1", 5432), Address("10.0.0.2", 5432))


@pytest.fixture
def catalog() -> Catalog:
    database = Database()
    database.relation("orders")
    database.body(database.routine("touch", "v"), "BEGIN EXECUTE what; END")
    database.view("recent", "SELECT a FROM public.orders")
    return Catalog.build("shop", **database.rows)


def facts(catalog: Catalog, sql: str, **settings: object) -> dict[str, str]:
    group = ServerGroup(servers=SERVERS, **settings)  # type: ignore[arg-type]
    return dict(explain(sql, catalog, group, user="app", search_path=("public",)))


def test_a_read(catalog: Catalog) -> None:
    found = facts(catalog, "SELECT lower(a) FROM recent WHERE b = 'secret'")
    assert found["statement"] == "select lower (a) from recent where b = ?"
    assert found["kind"] == "read"
    assert found["names"] == "recent"
    assert found["functions"] == "lower (immutable)"
    assert found["reads"] == "public.orders"
    assert found["goes to"].startswith("the fastest replica")
    assert found["reason"] == "replica"
    assert found["in a transaction"].startswith("served beside it")
    assert found["cache"] == "would be kept"
    assert "advice" not in found


def test_a_write(catalog: Catalog) -> None:
    found = facts(catalog, "UPDATE orders SET a = 1")
    assert found["writes"] == "public.orders"
    assert found["goes to"] == "the primary"
    assert found["cache"] == "no"
    assert "reads" not in found


def test_a_function_that_may_write_has_advice(catalog: Catalog) -> None:
    found = facts(catalog, "SELECT touch(a) FROM orders")
    assert found["functions"] == "touch (volatile)"
    assert found["reason"] == "function (touch)"
    assert found["reads"] == "public.orders"
    assert found["writes"] == "what the server says before the commit (function public.touch)"
    assert "STABLE" in found["advice"]


def test_what_tells_the_time_is_not_kept(catalog: Catalog) -> None:
    for sql in ("SELECT now() FROM orders", "SELECT a FROM orders WHERE t = 'today'"):
        found = facts(catalog, sql)
        assert found["cache"] == "no (clock)"
        assert found["in a transaction"].startswith("opens it")


def test_the_settings_count(catalog: Catalog) -> None:
    sql = "SELECT a FROM orders"
    assert facts(catalog, sql, cache=False)["cache"] == "no (cache_off)"
    shared = facts(catalog, sql, primary_reads=PrimaryReads.SHARE)
    assert shared["goes to"].startswith("the fastest server")


def test_rules_and_hints_count(catalog: Catalog) -> None:
    sql = "SELECT a FROM orders"
    hinted = facts(catalog, f"/* tidegate: route=primary */ {sql}")
    assert (hinted["goes to"], hinted["reason"]) == ("the primary", "hint")
    assert hinted["cache"] == "no (hint)"
    rules = parse(RULES, {}).server_groups["app"].rules
    ruled = facts(catalog, sql, rules=rules)
    assert (ruled["rule"], ruled["reason"], ruled["goes to"]) == ("orders", "rule", "the primary")
    other = facts(catalog, "SELECT lower('a')", rules=rules)
    assert (other["rule"], other["reason"]) == ("none", "replica")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELEC 1", "not understood: no statement begins with selec"),
        ("SELECT 'a", "not understood"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "no statement"),
        (" -- nothing", "no statement"),
    ],
)
def test_what_can_not_be_told(catalog: Catalog, sql: str, why: str) -> None:
    with pytest.raises(Unanswerable, match=why):
        facts(catalog, sql)


def test_every_reason_has_its_words() -> None:
    assert MEANINGS.keys() == set(Reason)
    assert ADVICE.keys() <= MEANINGS.keys()
