"""What MySQL's statements leave in a session, as servers tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from proxy.engines.mysql.grammar import MySQLGrammar
from proxy.engines.mysql.traces import MySQLTraces
from proxy.freshness.handed import Handed
from proxy.freshness.ledger import Ledger
from proxy.routing.plan import Plan, Planner
from proxy.routing.reading import Reader
from proxy.routing.terms import NO_WISHES
from proxy.session.belongings import Belongings
from proxy.session.errand import Errand
from proxy.session.grammar import Defaults
from proxy.session.ports import Link, Terms
from proxy.session.profile import Profile
from proxy.session.state import UNTOUCHED, SessionState
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql.scanner import ANSI_QUOTES
from proxy.sql.statement import Kind
from proxy.types import PinReason, Token
from proxy.wire.mysql.capabilities import STATUS_AUTOCOMMIT, STATUS_MORE_RESULTS
from proxy.wire.mysql.errors import UnknownThread, error_packet
from proxy.wire.mysql.ok import (
    SCHEMA,
    STATE_CHANGE,
    Change,
    Ok,
    ok_packet,
    text_change,
    variable_change,
)
from proxy.wire.mysql.prepared import Facts
from proxy.wire.requests import Request
from tests.unit.wire.mysql.sides import NEW, OK, ONE_ROW, Side, execute, prepare, query, refuses

SOMETHING = text_change(STATE_CHANGE, b"1")
CLEAR = b"DO (SELECT 1 FROM (SELECT 1) AS tidegate)"
GRAMMAR = MySQLGrammar()
BEGUN = {"sql_mode": "", "isolation": "REPEATABLE-READ", "character_set_client": "utf8mb4"}


@dataclass
class FakeLink:
    exchange: object
    state: SessionState = UNTOUCHED
    sequences_of: object = None
    retired: bool = False


@dataclass
class Client:
    """A session's belongings, and the server connection that it uses."""

    side: Side = field(default_factory=Side)
    startup: SessionState = field(default_factory=lambda: SessionState.of({"schema": "`shop`"}, {}))

    def __post_init__(self) -> None:
        planner = Planner(Ledger(Token(1)))
        profile = Profile(
            planner,
            None,
            GRAMMAR,
            group="g",
            user="ann",
            database="",
            startup=self.startup,
            defaults=Defaults(BEGUN, ""),
        )
        self.reader = Reader(language=MySQLLanguage())
        self.traces = MySQLTraces()
        self.belongings = Belongings(self.side.engine, profile, Terms(), GRAMMAR)
        self.link = cast(Link, FakeLink(self.side.exchange))

    def plan(self, sql: bytes) -> Plan:
        return Plan(self.reader.read(sql).statements[0], 0)

    def runs(self, sql: bytes, *changes: Change, **said: int) -> None:
        """A statement succeeds, and the server says this of it."""
        self.side.runs(query(sql), ok_packet(1, Ok(changes=list(changes), **said), NEW))
        self.traces.heard(self.belongings, self.errand(sql), self.link)
        for statement in self.reader.read(sql).statements:
            self.traces.apply(self.belongings, self.link, statement, sql)

    def errand(self, sql: bytes) -> Errand:
        """A request, taken up."""
        plans = [Plan(statement, 0) for statement in self.reader.read(sql).statements]
        for plan in plans:
            plan.is_plain = plan.statement.kind is Kind.READ and not plan.statement.effects
        errand = Errand(self.side.request(query(sql)), tuple(plans))
        errand.texts = (sql,)
        return errand

    def does(self, sql: bytes, answer: bytes) -> Errand:
        """A request is served."""
        errand = self.errand(sql)
        self.side.exchange.begin(errand.request)
        self.side.hears(answer)
        self.traces.note(self.belongings, errand, self.link)
        return errand

    def recalls(self, sql: bytes) -> tuple[list[bytes], Request | None] | None:
        return self.traces.recall(self.belongings, self.errand(sql), self.link)

    @property
    def pins(self) -> set[PinReason]:
        return self.belongings.pins

    def said_of(self, name: str) -> str | None:
        assert self.link.state.get(name) == self.belongings.profile.state.get(name)
        return self.link.state.get(name)


@pytest.fixture
def client() -> Client:
    return Client()


def test_variables_are_followed_on_both_sides(client: Client) -> None:
    zone, timeout = variable_change(b"time_zone", b"UTC"), variable_change(b"wait_timeout", b"5")
    client.runs(b"SET time_zone = 'UTC', wait_timeout = 5", zone, timeout, SOMETHING)
    assert client.said_of("time_zone") == "'UTC'"
    assert client.said_of("wait_timeout") == "5"
    assert not client.pins


def test_the_schema_is_followed(client: Client) -> None:
    client.runs(b"USE `o``ther`", text_change(SCHEMA, b"o`ther"), SOMETHING)
    assert client.said_of("schema") == "`o``ther`"
    assert client.belongings.profile.scope.search_path == ("o`ther",)
    assert not client.pins


def test_a_connection_that_has_been_in_no_schema_is_not_lent_again(client: Client) -> None:
    client.runs(b"USE other", text_change(SCHEMA, b"other"))
    assert not client.link.retired
    client.side.exchange.is_nowhere = True
    client.runs(b"DROP DATABASE other", text_change(SCHEMA, b""))
    assert not client.link.retired
    client.runs(b"USE another", text_change(SCHEMA, b"another"))
    assert client.link.retired


def test_a_schema_that_was_dropped_is_none(client: Client) -> None:
    client.runs(b"USE other", text_change(SCHEMA, b"other"))
    client.runs(b"DROP DATABASE other", text_change(SCHEMA, b""))
    assert client.said_of("schema") is None
    assert client.belongings.profile.scope.search_path == ()


def test_what_a_server_says_in_the_middle_of_a_call_is_followed_too(client: Client) -> None:
    client.runs(b"CALL anything()", variable_change(b"sql_mode", b"ANSI_QUOTES"))
    assert client.said_of("sql_mode") == "'ANSI_QUOTES'"
    assert client.belongings.profile.modes == ANSI_QUOTES


def test_autocommit_is_said_in_our_own_words_too(client: Client) -> None:
    client.runs(b"SET autocommit = 0", variable_change(b"autocommit", b"OFF"))
    assert not client.side.engine.status & STATUS_AUTOCOMMIT
    client.runs(b"SET autocommit = 1", variable_change(b"autocommit", b"ON"))
    assert client.side.engine.status & STATUS_AUTOCOMMIT


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (b"SET @a = 1", PinReason.USER_VARIABLE),
        (b"CREATE TEMPORARY TABLE t (a INT)", PinReason.TEMPORARY_TABLE),
        (b"SELECT GET_LOCK('a', 1)", PinReason.ADVISORY_LOCK),
        (b"LOCK TABLES t READ", PinReason.TABLE_LOCK),
        (b"HANDLER t OPEN", PinReason.HANDLER),
        (b"PREPARE s FROM 'SELECT 1'", PinReason.PREPARED_STATEMENT),
    ],
)
def test_what_cannot_be_given_to_another_connection_pins(
    client: Client, sql: bytes, reason: PinReason
) -> None:
    client.runs(sql, SOMETHING)
    assert client.pins == {reason}
    client.runs(b"SELECT 1 FROM t")
    assert client.pins == {reason}


def test_the_next_transactions_level_pins_until_it_has_begun(client: Client) -> None:
    client.runs(b"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", SOMETHING)
    assert client.pins == {PinReason.NEXT_TRANSACTION}
    client.runs(b"BEGIN")
    assert not client.pins


def test_a_change_that_nothing_explains_pins(client: Client) -> None:
    client.runs(b"CALL anything()", variable_change(b"statement_id", b"7"), SOMETHING)
    assert client.pins == {PinReason.UNKNOWN}


@pytest.mark.parametrize(
    ("name", "reason"),
    [(b"session_track_schema", PinReason.UNKNOWN), (b"timestamp", PinReason.SETTINGS)],
)
def test_variables_that_cannot_be_followed_pin(
    client: Client, name: bytes, reason: PinReason
) -> None:
    client.runs(b"SET %b = 1" % name, variable_change(name, b"1"))
    assert client.pins == {reason}
    assert client.said_of(name.decode()) is None


def test_unlocking_tables_lifts_the_pin(client: Client) -> None:
    client.runs(b"LOCK TABLES t READ", SOMETHING)
    client.runs(b"UNLOCK INSTANCE")
    assert client.pins == {PinReason.TABLE_LOCK}
    client.runs(b"UNLOCK  Tables")
    assert not client.pins


def test_warnings_are_there_until_the_next_statement(client: Client) -> None:
    client.runs(b"INSERT INTO t VALUES ('x')", warnings=2)
    assert client.pins == {PinReason.DIAGNOSTICS}
    client.runs(b"SHOW WARNINGS")
    assert client.pins == {PinReason.DIAGNOSTICS}
    client.runs(b"SELECT 1 FROM t")
    assert not client.pins


def test_an_error_can_be_asked_about(client: Client) -> None:
    client.traces.failed(client.belongings, client.errand(b"SELEC"), client.link)
    assert client.pins == {PinReason.DIAGNOSTICS}


def test_what_ran_in_front_of_an_error_is_followed(client: Client) -> None:
    sql = b"USE other; SELECT GET_LOCK('a', 1); SELECT @a := nothing"
    changes = [text_change(SCHEMA, b"other"), variable_change(b"time_zone", b"UTC")]
    said = [
        ok_packet(1, Ok(status=STATUS_MORE_RESULTS, changes=changes), NEW),
        ok_packet(2, Ok(status=STATUS_MORE_RESULTS), NEW),
        error_packet(UnknownThread("nobody"), 3),
    ]
    client.side.runs(query(sql), b"".join(said))
    errand = client.errand(sql)
    client.traces.heard(client.belongings, errand, client.link)
    client.traces.failed(client.belongings, errand, client.link)
    assert client.said_of("schema") == "`other`"
    assert client.said_of("time_zone") == "'UTC'"
    assert client.pins == {PinReason.DIAGNOSTICS, PinReason.ADVISORY_LOCK}


ZONE, OTHER_ZONE = variable_change(b"time_zone", b"UTC"), variable_change(b"time_zone", b"SYSTEM")


def test_what_a_statement_has_for_itself_is_not_the_sessions(client: Client) -> None:
    timeout = variable_change(b"wait_timeout", b"5")
    client.runs(
        b"SET STATEMENT time_zone = 'UTC' FOR SET wait_timeout = 5", ZONE, timeout, SOMETHING
    )
    assert client.said_of("time_zone") is None
    assert client.said_of("wait_timeout") == "5"
    assert not client.pins


def test_that_it_is_as_before_is_nothing_new(client: Client) -> None:
    client.runs(b"SET STATEMENT time_zone = 'UTC' FOR SELECT 1", ZONE, SOMETHING)
    client.runs(b"DELETE FROM t", OTHER_ZONE, SOMETHING)
    assert client.said_of("time_zone") is None
    assert not client.pins
    client.runs(b"SET time_zone = 'UTC'", ZONE)
    assert client.said_of("time_zone") == "'UTC'"
    client.runs(b"SET STATEMENT time_zone = 'SYSTEM' FOR SELECT 1", OTHER_ZONE)
    client.runs(b"CALL sets_it()", OTHER_ZONE)
    assert client.said_of("time_zone") == "'SYSTEM'"


def several(client: Client, sql: bytes, *changes: list[Change]) -> None:
    """A text of several statements is run, each with one result that says this."""
    said = [
        ok_packet(
            number,
            Ok(status=STATUS_MORE_RESULTS if number < len(changes) else 0, changes=some),
            NEW,
        )
        for number, some in enumerate(changes, 1)
    ]
    client.side.runs(query(sql), b"".join(said))
    errand = client.errand(sql)
    client.traces.heard(client.belongings, errand, client.link)
    for plan in errand.plans:
        client.traces.apply(client.belongings, client.link, plan.statement, sql)


def test_each_statement_of_a_text_has_its_own(client: Client) -> None:
    own = b"SET STATEMENT time_zone = 'SYSTEM' FOR SELECT 1"
    several(client, b"SET time_zone = 'UTC'; " + own + b"; DO 1", [ZONE], [OTHER_ZONE], [ZONE])
    assert client.said_of("time_zone") == "'UTC'"
    several(client, own + b"; SET time_zone = 'UTC'", [OTHER_ZONE], [ZONE])
    assert client.said_of("time_zone") == "'UTC'"
    assert not client.pins


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        (b"CALL p(); SET STATEMENT time_zone = 'UTC' FOR SELECT 1", [[], [ZONE]]),
        (b"SELEC /*M! SET STATEMENT time_zone = 'UTC' FOR */ 1", [[ZONE]]),
    ],
)
def test_what_cannot_be_told_apart_pins(
    client: Client, sql: bytes, changes: list[list[Change]]
) -> None:
    several(client, sql, *changes)
    assert client.said_of("time_zone") is None
    assert PinReason.SETTINGS in client.pins


ASKS = b"SELECT LAST_INSERT_ID()"


def test_the_last_inserts_id_is_given_to_another_connection(client: Client) -> None:
    session, traces, belongings = object(), client.traces, client.belongings
    plans = [client.plan(b"INSERT INTO t VALUES ()")]
    assert traces.must_come_first(session, belongings, plans, client.link) == []
    client.runs(b"INSERT INTO t VALUES ()", last_insert_id=41)
    plans = [client.plan(ASKS)]
    assert traces.must_come_first(session, belongings, plans, client.link) == []
    other = cast(Link, FakeLink(client.side.exchange))
    assert traces.must_come_first(session, belongings, plans, other) == [
        b"SET SESSION last_insert_id = 41"
    ]
    assert traces.must_come_first(session, belongings, plans, other) == []
    assert traces.must_come_first(object(), belongings, plans, client.link) != []


def test_no_warnings_of_somebody_elses_are_shown(client: Client) -> None:
    assert client.recalls(b"SHOW WARNINGS") == ([CLEAR], None)


def test_warnings_of_somebody_elses_are_cleared_once(client: Client) -> None:
    traces, belongings, link = client.traces, client.belongings, client.link
    plans = [client.plan(b"SET @a = 1")]
    client.side.runs(query(b"SELECT nothing"), refuses(1054))
    assert traces.must_come_first(object(), belongings, plans, link) == [CLEAR]
    assert traces.must_come_first(object(), belongings, plans, link) == []


def test_warnings_of_ones_own_last_statement_stay(client: Client) -> None:
    traces, belongings, link = client.traces, client.belongings, client.link
    client.does(b"UPDATE t SET a = 1", ok_packet(1, Ok(affected_rows=3, warnings=1), NEW))
    plans = [client.plan(b"SET @a = 1")]
    assert traces.must_come_first(object(), belongings, plans, link) == []
    client.side.runs(query(b"SELECT 1"), ONE_ROW)
    asks = [client.plan(b"SELECT ROW_COUNT()")]
    assert traces.must_come_first(object(), belongings, asks, link) == []
    assert traces.must_come_first(object(), belongings, plans, link) == [CLEAR]


def test_a_connection_that_nobody_else_has_had_knows_the_statement_before(client: Client) -> None:
    client.does(b"UPDATE t SET a = 1", ok_packet(1, Ok(affected_rows=3), NEW))
    assert client.recalls(b"SELECT ROW_COUNT()") is None
    client.side.runs(query(b"SELECT 1 FROM others"), ONE_ROW)
    assert client.recalls(b"SHOW WARNINGS") == ([CLEAR], None)


def test_rows_changed_are_said_where_another_connection_is_asked(client: Client) -> None:
    client.does(b"UPDATE t SET a = 1", ok_packet(1, Ok(affected_rows=3), NEW))
    client.side.runs(query(b"SELECT 1 FROM others"), ONE_ROW)
    asker = client.errand(b"SELECT ROW_COUNT() n")
    assert client.traces.recall(client.belongings, asker, client.link) == ([CLEAR], None)
    assert asker.request.executions[0].sql == b"SELECT IFNULL(3, 9223372036854775807) n"
    client.does(b"CALL p()", ok_packet(1, Ok(affected_rows=7), NEW))
    client.side.runs(query(b"SELECT 1 FROM others"), ONE_ROW)
    asker = client.errand(b"SELECT ROW_COUNT() n")
    client.traces.recall(client.belongings, asker, client.link)
    assert asker.request.executions[0].sql == b"SELECT IFNULL(7, 9223372036854775807) n"


@pytest.mark.parametrize("end", [b"SELECT FOUND_ROWS()", b"SELECT 1 FROM t", b"SHOW TABLES"])
def test_what_was_found_pins_until_it_is_asked_for_or_something_else_is(
    client: Client, end: bytes
) -> None:
    client.runs(b"SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1")
    for between in (b"UPDATE t SET a = 1", b"BEGIN", b"COMMIT", b"SHOW WARNINGS"):
        client.runs(between)
        assert client.pins == {PinReason.FOUND_ROWS}
    client.side.runs(query(end), ONE_ROW)
    client.traces.apply(client.belongings, client.link, client.plan(end).statement, end)
    assert not client.pins


def test_who_prepares_to_ask_for_rows_changed_stays_where_it_is(client: Client) -> None:
    sql = b"SELECT Row_Count() + ?"
    assert client.traces.say_prepared(sql, client.belongings) == sql
    assert client.pins == {PinReason.PREPARED_STATEMENT}


def test_a_read_is_repeated_where_another_connection_is_asked(client: Client) -> None:
    read = client.does(b"SELECT 1 FROM t", ONE_ROW)
    client.side.runs(query(b"SELECT 1 FROM others"), ONE_ROW)
    assert client.recalls(b"SELECT FOUND_ROWS()") == ([CLEAR], read.request)
    client.traces.note(client.belongings, read, None)
    assert client.recalls(b"SHOW WARNINGS") == ([CLEAR], read.request)
    client.does(b"SELECT @a", ONE_ROW)
    client.side.runs(query(b"SELECT 1 FROM others"), ONE_ROW)
    assert client.recalls(b"SELECT ROW_COUNT()") == ([CLEAR, b"SELECT 1"], None)


def test_a_read_that_was_answered_unread_is_repeated(client: Client) -> None:
    client.does(b"UPDATE t SET a = 1", OK)
    client.side.engine.answered(query(b"SELECT 1 FROM t"))
    found = client.recalls(b"SELECT FOUND_ROWS()")
    assert found is not None
    assert found[1] is not None
    assert found[1].executions[0].sql == b"SELECT 1 FROM t"


def test_a_clients_number_is_ours(client: Client) -> None:
    client.side.engine.number = 7
    traces, belongings = client.traces, client.belongings
    errand = client.errand(b"SELECT 1; SELECT CONNECTION_ID(), ';'")
    texts = client.reader.read(b"SELECT 1; SELECT CONNECTION_ID(), ';'").texts
    assert traces.restore(errand.request, errand.plans, texts, belongings)
    said = b"SELECT 1; SELECT CAST(7 AS UNSIGNED) AS `CONNECTION_ID()`, ';'"
    assert errand.request.executions[0].sql == said
    plain = client.errand(b"SELECT 1")
    assert not traces.restore(plain.request, plain.plans, [b"SELECT 1"], belongings)
    assert traces.say_prepared(b"DO connection_ID()", belongings) == b"DO CAST(7 AS UNSIGNED)"
    assert traces.say_prepared(b"SELECT ?", belongings) == b"SELECT ?"


@pytest.mark.parametrize(
    ("sql", "is_refused"),
    [
        (b"SELECT 1; KILL 5", True),
        (b"/*! SELECT 1 */; /*! KILL QUERY 5 */", True),
        (b"DO 1; SET STATEMENT max_statement_time = 1 FOR KILL 5", True),
        (b"PREPARE s FROM 'KILL 5'", True),
        (b"SELECT 1; EXECUTE IMMEDIATE 'KILL 5'", True),
        (b"SELECT 1 $ ; KILL 5", True),
        (b"SELECT 1; SELECT 'KILL 5'", False),
        (b"CREATE PROCEDURE p() BEGIN DO 1; KILL 5; END", False),
        (b"PREPARE s FROM 'SELECT 1'", False),
    ],
)
def test_a_kill_that_only_the_server_would_see_is_refused(
    client: Client, sql: bytes, *, is_refused: bool
) -> None:
    errand = client.errand(sql)
    texts = client.reader.read(sql).texts
    assert not client.traces.restore(errand.request, errand.plans, texts, client.belongings)
    assert (errand.request.refusal is not None) is is_refused


def test_a_cursor_pins_while_it_is_open(client: Client) -> None:
    client.side.exchange.opened = True
    client.traces.apply(client.belongings, client.link, client.plan(b"SELECT 1").statement, b"")
    assert client.pins == {PinReason.HOLD_CURSOR}
    client.runs(b"SELECT 1")
    assert not client.pins


def refuse(text: str) -> Handed:
    raise ValueError(text)


def test_a_reset_makes_the_session_as_at_login(client: Client) -> None:
    client.side.request(prepare(b"SELECT 1")).prepared.facts = Facts(0, 1)  # type: ignore[union-attr]
    client.runs(b"SET autocommit = 0", variable_change(b"autocommit", b"OFF"))
    client.runs(b"SET @a = 1", SOMETHING)
    client.runs(b"INSERT INTO t VALUES ()", last_insert_id=41)
    client.runs(b"USE other", text_change(SCHEMA, b"other"))
    own = client.belongings.profile.own
    for value, in_transaction in (("bounded", False), ("eventual", True)):
        own.set("tidegate.consistency", value, hand=refuse, in_transaction=in_transaction)
    client.runs(b"RESET CONNECTION")
    own.end(committed=False)
    assert own.now is NO_WISHES
    assert not client.pins
    assert client.belongings.profile.state is UNTOUCHED.with_setting("schema", "`other`")
    assert client.link.state is client.belongings.profile.state
    assert client.belongings.last_id == 0
    assert client.side.engine.status & STATUS_AUTOCOMMIT
    assert client.side.request(execute(1)).refusal is not None


@pytest.mark.parametrize(
    ("name", "value", "is_replicated"),
    [(b"sql_log_bin", b"OFF", False), (b"sql_log_bin", b"ON", False), (b"sql_mode", b"", True)],
)
def test_replicas_do_not_hear_of_a_statement_that_set_the_log_off_and_on(
    client: Client, name: bytes, value: bytes, is_replicated: bool
) -> None:
    change = variable_change(name, value)
    client.side.runs(query(b"CALL p()"), ok_packet(1, Ok(changes=[change]), NEW))
    exchange = client.side.exchange
    assert client.traces.is_replicated(client.belongings, exchange) is is_replicated
