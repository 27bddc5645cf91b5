"""How PostgreSQL says what every engine can say."""

from __future__ import annotations

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.engines.postgres.dialect import PostgresDialect
from proxy.engines.postgres.grammar import PostgresGrammar
from proxy.session.state import UNTOUCHED, Change, Verb
from proxy.types import Position
from proxy.wire.postgres import backend, dialect, frontend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.cutting import Cutter
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import Request
from proxy.wire.status import IDLE, IN_FAILED, IN_TRANSACTION

GRAMMAR = PostgresGrammar()

SYNC = frontend.SYNC
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def request(data: bytes) -> Request:
    engine = ClientEngine(Library(lambda: 0, lambda sql: False))
    (found,) = Cutter().feed(data)
    engine.read(found)
    return found


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (IDLE, backend.READY_IDLE),
        (IN_TRANSACTION, backend.READY_TRANSACTION),
        (IN_FAILED, backend.READY_FAILED),
    ],
)
def test_the_word_that_the_next_request_may_come(status: int, said: bytes) -> None:
    assert dialect.ready(status) == said


def is_one_statement(sql: str) -> bool:
    return len(postgast.parse(sql).stmts) == 1


@given(NAMES)
def test_a_name_stays_a_name(name: str) -> None:
    assert is_one_statement(f"SELECT {dialect.quote_name(name)}")


@given(NAMES.filter(lambda name: all(name.split("."))))
def test_a_setting_is_one_statement(name: str) -> None:
    assert is_one_statement(dialect.set_setting(name, "'x'"))
    assert is_one_statement(dialect.reset_setting(name))


@pytest.mark.parametrize(
    ("name", "value", "sql"),
    [
        ("timezone", "'UTC'", "SET \"timezone\" TO 'UTC'"),
        ("app.tenant", "5", 'SET "app"."tenant" TO 5'),
        ("search_path", "a, b", 'SET "search_path" TO a, b'),
        ("role", "'boss'", "SET ROLE 'boss'"),
        ("session_authorization", "boss", "SET SESSION AUTHORIZATION boss"),
    ],
)
def test_what_was_set_is_set_again(name: str, value: str, sql: str) -> None:
    assert dialect.set_setting(name, value) == sql
    assert is_one_statement(sql)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("timezone", 'RESET "timezone"'),
        ("role", 'RESET "role"'),
        ("session_authorization", "RESET SESSION AUTHORIZATION"),
    ],
)
def test_what_was_set_is_reset(name: str, sql: str) -> None:
    assert dialect.reset_setting(name) == sql
    assert is_one_statement(sql)


@given(st.integers(0, (1 << 64) - 1))
def test_a_position_is_asked_for_by_its_own_notation(position: int) -> None:
    sql = dialect.reached(position)
    high, _, low = sql.split(b"'")[1].partition(b"/")
    assert int(high, 16) << 32 | int(low, 16) == position
    assert is_one_statement(sql.decode())


def test_all_changes_are_one_text_in_an_order_that_works() -> None:
    have = UNTOUCHED.with_setting("role", "old").with_setting("timezone", "'CET'")
    have = have.with_statement("gone", "PREPARE gone AS SELECT 1", GRAMMAR)
    want = UNTOUCHED.with_setting("session_authorization", "boss").with_setting("role", "new")
    want = want.with_setting("datestyle", "'ISO'")
    want = want.with_statement("p", "PREPARE p AS SELECT 1 -- one", GRAMMAR)
    sql = PostgresDialect().apply(have.changes_to(want, GRAMMAR)).decode()
    said = [line.strip(";") for line in sql.split("\n")]
    assert said.index('RESET "timezone"') < said.index("SET ROLE new")
    assert said.index("SET SESSION AUTHORIZATION boss") < said.index("SET ROLE new")
    assert 'DEALLOCATE "gone"' in said
    assert "PREPARE p AS SELECT 1 -- one" in said
    assert len(postgast.parse(sql).stmts) == len(have.changes_to(want, GRAMMAR))


def test_a_role_is_dropped_before_anything_else() -> None:
    have = UNTOUCHED.with_setting("role", "old").with_setting("session_authorization", "boss")
    sql = PostgresDialect().apply(have.changes_to(UNTOUCHED.with_setting("a", "1"), GRAMMAR))
    assert sql.split(b"\n;") == [b'RESET "role"', b"RESET SESSION AUTHORIZATION", b'SET "a" TO 1']


def test_a_changed_statement_is_made_anew() -> None:
    have = UNTOUCHED.with_statement("p", "PREPARE p AS SELECT 1", GRAMMAR)
    want = UNTOUCHED.with_statement("p", "PREPARE p AS SELECT 2", GRAMMAR)
    assert have.changes_to(want, GRAMMAR) == [
        Change(Verb.DEALLOCATE, "p"),
        Change(Verb.PREPARE, "p", "PREPARE p AS SELECT 2", stage=1),
    ]


def test_a_statement_is_made_again_under_the_settings_that_it_was_made_under() -> None:
    here = UNTOUCHED.with_setting("search_path", "here").with_setting("app.x", "1")
    p = here.with_statement("p", "PREPARE p AS SELECT 1", GRAMMAR).with_setting("role", "new")
    want = p.with_statement("q", "PREPARE q AS SELECT 2", GRAMMAR).with_setting("app.x", "2")
    have = UNTOUCHED.with_setting("search_path", "there").with_setting("role", "old")
    assert PostgresDialect().apply(have.changes_to(want, GRAMMAR)).decode().split("\n;") == [
        'RESET "role"',
        'SET "app"."x" TO 2',
        'SET "search_path" TO here',
        "PREPARE p AS SELECT 1",
        "SET ROLE new",
        "PREPARE q AS SELECT 2",
    ]


def test_the_dialect_says_positions_as_the_wire_does() -> None:
    assert PostgresDialect().reached(Position(5)) == dialect.reached(5)


BATCH = frontend.parse(b"", b"x") + frontend.bind(b"", b"") + frontend.execute(b"")


def test_rows_of_our_own_in_a_simple_query() -> None:
    said = dialect.table(request(frontend.query(b"x")), ["a", "b"], [["1", "2"]], IDLE)
    columns = backend.row_description([backend.Column(b"a"), backend.Column(b"b")])
    rows = backend.data_row([b"1", b"2"]) + backend.command_complete(b"SELECT 1")
    assert said == columns + rows + backend.READY_IDLE


def test_rows_of_our_own_in_the_extended_protocol() -> None:
    describe = frontend.describe(tags.STATEMENT, b"") + frontend.describe(tags.PORTAL, b"")
    said = dialect.table(request(BATCH + describe + SYNC), ["a"], [], IDLE)
    columns = backend.row_description([backend.Column(b"a")])
    assert said == (
        backend.PARSE_COMPLETE
        + backend.BIND_COMPLETE
        + backend.command_complete(b"SELECT 0")
        + backend.parameter_description(())
        + columns
        + columns
        + backend.READY_IDLE
    )


def test_a_batch_without_a_sync_is_not_ready() -> None:
    assert not dialect.table(request(BATCH + frontend.FLUSH), ["a"], [], IDLE).endswith(
        backend.READY_IDLE
    )


def test_something_was_done() -> None:
    said = dialect.said(request(frontend.query(b"x")), b"DEALLOCATE", IN_TRANSACTION)
    assert said == backend.command_complete(b"DEALLOCATE") + backend.READY_TRANSACTION
    describe = frontend.describe(tags.STATEMENT, b"")
    said = dialect.said(request(BATCH + describe + SYNC), b"DEALLOCATE", IDLE)
    assert said == (
        backend.PARSE_COMPLETE
        + backend.BIND_COMPLETE
        + backend.command_complete(b"DEALLOCATE")
        + backend.parameter_description(())
        + backend.NO_DATA
        + backend.READY_IDLE
    )


@pytest.mark.parametrize(
    ("sql", "oids", "types"),
    [
        (b"x", (), ()),
        (b"a = $2 AND b = $1", (), (25, 25)),
        (b"a = $1 AND b = $2", (23,), (23, 25)),
        (b"a = $1 AND b = '$9' AND \"$8\"", (0,), (25,)),
    ],
)
def test_parameters_of_what_is_only_prepared_are_described(
    sql: bytes, oids: tuple[int, ...], types: tuple[int, ...]
) -> None:
    batch = frontend.parse(b"", sql, oids) + frontend.describe(tags.STATEMENT, b"") + SYNC
    said = dialect.table(request(batch), ["a"], [], IN_TRANSACTION)
    columns = backend.row_description([backend.Column(b"a")])
    described = backend.parameter_description(types) + columns
    assert said == backend.PARSE_COMPLETE + described + backend.READY_TRANSACTION
