"""A prepared statement means what its client's settings made of it, though all clients share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from proxy.demo.processes import wait_until
from proxy.wire.postgres import tags
from proxy.wire.postgres.frontend import SYNC, bind, close, execute, parse
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.raw_client import RawClient, rows, shape, sqlstates, status

DATE = "SELECT extract(month FROM '01/02/2024'::date)"
JANUARY, FEBRUARY = [["1"]], [["2"]]
MDY, DMY = "SET DateStyle = 'ISO, MDY'", "SET DateStyle = 'ISO, DMY'"


@pytest.fixture
def clients(narrow: Application) -> Iterator[list[RawClient]]:
    with ExitStack() as open_clients:
        yield [open_clients.enter_context(narrow.raw()) for _ in range(3)]


def prepare(client: RawClient, sql: str | bytes, name: bytes = b"s") -> None:
    text = sql.encode() if isinstance(sql, str) else sql
    client.ask(close(tags.STATEMENT, name), parse(name, text), SYNC)


def use(client: RawClient, name: bytes = b"s") -> list[list[str | None]]:
    return rows(client.ask(bind(b"", name) + execute(b"") + SYNC))


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("DateStyle", ["'ISO, MDY'", "'ISO, DMY'"], DATE),
        (
            "TimeZone",
            ["'UTC'", "'Asia/Kathmandu'"],
            "SELECT extract(epoch FROM '2024-01-01'::timestamptz)",
        ),
        (
            "IntervalStyle",
            ["postgres", "sql_standard"],
            "SELECT extract(epoch FROM '-1 2:00'::interval)",
        ),
        ("transform_null_equals", ["off", "on"], "SELECT 1 WHERE NULL = NULL"),
        ("standard_conforming_strings", ["on", "off"], r"SELECT 'a\\b'"),
        ("array_nulls", ["on", "off"], "SELECT ('{NULL}'::text[])[1] IS NULL"),
        ("client_encoding", ["'UTF8'", "'LATIN1'"], "SELECT length('é')"),
        ("search_path", ["pg_catalog", "information_schema"], "SELECT count(*) > 50 FROM tables"),
        ("extra_float_digits", ["0", "3"], "SELECT (0.1::float8 + 0.2::float8)::text"),
    ],
)
def test_clients_with_other_settings_share_nothing(
    direct: Application, clients: list[RawClient], name: str, values: list[str], text: str
) -> None:
    expected = []
    for setting in values:
        with direct.raw() as alone:
            alone.query(f"SET {name} = {setting}")
            prepare(alone, text)
            expected.append(use(alone))
    assert expected[0] != expected[1]
    for client, setting in zip(clients, values, strict=False):
        client.query(f"SET {name} = {setting}")
    for client in clients[:2]:
        prepare(client, text)
    for _ in range(2):
        assert [use(client) for client in clients[:2]] == expected


def test_startup_parameters_count_as_well(narrow: Application) -> None:
    with narrow.raw(datestyle="ISO, DMY") as one, narrow.raw(datestyle="ISO, MDY") as two:
        prepare(one, DATE)
        prepare(two, DATE)
        assert (use(one), use(two)) == (FEBRUARY, JANUARY)


WAYS = [
    "SET LOCAL DateStyle = 'ISO, DMY'",
    "SELECT set_config('DateStyle', 'ISO, DMY', true)",
    "SELECT set_config('date' || 'style', 'ISO, DMY', true)",
    "DO $$BEGIN SET LOCAL DateStyle = 'ISO, DMY'; END$$",
    "SAVEPOINT a; SET DateStyle = 'ISO, DMY'; RELEASE a",
]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_prepared_in_a_transaction_with_settings_of_its_own(
    clients: list[RawClient], way: str
) -> None:
    one, two, three = clients
    prepare(three, DATE)
    assert use(three) == JANUARY
    one.query("BEGIN")
    one.query(way)
    prepare(one, DATE)
    assert use(one) == FEBRUARY
    prepare(one, DATE + " -- another", b"t")
    assert use(one, b"t") == FEBRUARY
    one.query("ROLLBACK")
    prepare(two, DATE)
    assert use(two) == JANUARY
    prepare(two, DATE + " -- another", b"t")
    assert use(two, b"t") == JANUARY
    assert use(three) == JANUARY


def test_what_is_prepared_behind_a_setting_in_the_same_batch(clients: list[RawClient]) -> None:
    one, two, _ = clients
    prepare(two, DATE)
    assert use(two) == JANUARY
    setting = parse(b"", DMY.encode()) + bind(b"", b"") + execute(b"")
    heard = one.ask(setting, parse(b"s", DATE.encode()), bind(b"", b"s"), execute(b""), SYNC)
    assert rows(heard) == FEBRUARY
    assert use(one) == FEBRUARY
    assert use(two) == JANUARY


def test_a_batch_that_is_ended_by_a_flush(clients: list[RawClient]) -> None:
    one, two, _ = clients
    one.ask(parse(b"", DMY.encode()), bind(b"", b""), execute(b""), b"H\0\0\0\4", last=b"C")
    heard = one.ask(parse(b"s", DATE.encode()), bind(b"", b"s"), execute(b""), SYNC)
    assert rows(heard) == FEBRUARY
    prepare(two, DATE)
    assert use(two) == JANUARY


@pytest.fixture(scope="module")
def forgetful_proxy(start_module_proxy: StartProxy) -> int:
    """The port of a proxy whose only server connection holds one prepared statement at a time."""
    return start_module_proxy(default_pool_size=1, max_prepared_statements=1, cache=False).port


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_statement_keeps_its_meaning_through_later_settings(
    direct: Application, forgetful_proxy: int, in_transaction: bool
) -> None:
    """Wherever it is prepared again."""
    with (
        direct.raw() as alone,
        direct.at(forgetful_proxy).raw() as one,
        direct.at(forgetful_proxy).raw() as two,
    ):
        for client in (alone, one):
            prepare(client, DATE)
            assert use(client) == JANUARY
            client.query(DMY)
            prepare(client, DATE, b"t")
        for _ in range(2):
            for client in (alone, one):
                if in_transaction:
                    client.query("BEGIN")
                assert use(client) == JANUARY
                assert use(client, b"t") == FEBRUARY
                assert use(client) == JANUARY
                assert client.value("SELECT extract(month FROM '01/02/2024'::date)") == "2"
                if in_transaction:
                    client.query("COMMIT")
            prepare(two, DATE)
            assert use(two) == JANUARY


def test_two_statements_of_other_settings_in_one_batch(
    direct: Application, forgetful_proxy: int
) -> None:
    """Though the connection can't hold both."""
    with direct.at(forgetful_proxy).raw() as one:
        prepare(one, DATE)
        one.query(DMY)
        prepare(one, DATE, b"t")
        one.query("SET DateStyle = 'German'")
        both = [bind(b"", name) + execute(b"") for name in (b"s", b"t", b"s")]
        heard = one.ask(*both, SYNC)
        assert sqlstates(heard) == []
        assert shape(heard) == "2DC2DC2DCZ"


@pytest.mark.parametrize("text", ["'now'", "' NOW '", "E'n\\157w'", "'nOw'"])
def test_what_means_this_moment_is_shared_with_nobody(clients: list[RawClient], text: str) -> None:
    one, two, _ = clients
    statement = f"SELECT {text}::timestamptz::text, now()::text"
    prepare(one, statement)
    ((first, _),) = use(one)
    wait_until(lambda: one.value("SELECT now()::text") != first, "time to pass")
    prepare(two, statement)
    ((second, _),) = use(two)
    assert str(first) < str(second)


@pytest.mark.parametrize("way", WAYS)
def test_a_statement_keeps_its_meaning_in_a_transaction_with_settings_of_its_own(
    direct: Application, forgetful_proxy: int, way: str
) -> None:
    """And what is set in the transaction stays set."""
    with (
        direct.raw() as alone,
        direct.at(forgetful_proxy).raw() as one,
        direct.at(forgetful_proxy).raw() as two,
    ):
        for client in (alone, one):
            prepare(client, DATE)
            client.query("SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'")
            prepare(client, DATE + "-- another", b"t")
            client.query("BEGIN")
            client.query(way)
            for _ in range(2):
                assert use(client) == JANUARY
                assert client.value("SHOW DateStyle") == "ISO, DMY"
                assert use(client, b"t") == FEBRUARY
                assert client.value("SHOW TimeZone") == "Asia/Kathmandu"
            client.query("ROLLBACK")
            assert client.value("SHOW DateStyle") == "German, DMY"
        prepare(two, DATE)
        assert use(two) == JANUARY
        assert use(one) == JANUARY


def test_a_statement_that_cannot_be_prepared_again_fails_as_on_one_connection(
    direct: Application, forgetful_proxy: int
) -> None:
    with direct.at(forgetful_proxy).raw() as one, direct.raw() as alone:
        for client in (alone, one):
            client.query("CREATE TABLE short_lived (n int)")
            prepare(client, "SELECT * FROM short_lived FOR SHARE")
            client.query(DMY)
            client.query("DROP TABLE short_lived")
            for begin in ("ROLLBACK", "BEGIN"):
                prepare(client, DATE, b"t")
                client.query(begin)
                heard = client.ask(bind(b"", b"s") + execute(b""), SYNC)
                assert sqlstates(heard) == ["42P01"]
                assert status(heard) == ("E" if begin == "BEGIN" else "I")
            client.query("ROLLBACK")
            assert use(client, b"t") == FEBRUARY
