"""What a client's commands say, and what it has prepared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MessageTooLarge, RemoteProtocolError, UnknownStatement
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import MULTI_STATEMENTS, QUERY_ATTRIBUTES
from proxy.wire.mysql.client_engine import MOST_AHEAD
from proxy.wire.mysql.errors import error_code
from proxy.wire.mysql.killing import Kill, Killed
from proxy.wire.mysql.prepared import Facts
from proxy.wire.mysql.requests import Request
from proxy.wire.mysql.statements import LAST
from proxy.wire.prepared import Sense
from proxy.wire.requests import END_SESSION
from tests.unit.wire.mysql.sides import (
    INT,
    NEW,
    STRING,
    Side,
    command,
    execute,
    number,
    prepare,
    query,
    typed,
    untyped,
)

FIVE, SIX = b"\5\0\0\0", b"\6\0\0\0"


@pytest.fixture
def side() -> Side:
    return Side()


def prepared(side: Side, sql: bytes = b"SELECT ?", parameters: int = 1) -> Request:
    request = side.request(prepare(sql))
    assert request.prepared is not None
    request.prepared.facts = Facts(parameters, 1)
    return request


def is_malformed(request: Request) -> bool:
    return request.refusal is not None and error_code(request.refusal) == (1835, b"HY000")


def text_of(request: Request) -> bytes | None:
    (execution,) = request.executions
    return execution.sql


def test_a_query_runs_its_text(side: Side) -> None:
    request = side.request(query(b"SELECT 1"))
    assert text_of(request) == b"SELECT 1"
    assert request.is_one_text
    assert request.only_reads
    assert not request.has_parameters


def test_attributes_are_no_part_of_a_text_but_of_what_shapes_its_answer() -> None:
    side = Side(client=NEW | QUERY_ATTRIBUTES)
    request = side.request(query(b"\1\1\0\1\xfd\0\4name\5valueselect 1"))
    assert text_of(request) == b"select 1"
    assert request.executions[0].tail
    assert not side.request(query(b"\0\1select 1")).executions[0].tail


def test_a_rewritten_text_has_the_form_that_was_agreed() -> None:
    side = Side(client=NEW | QUERY_ATTRIBUTES)
    request = side.request(query(b"\1\1\0\1\xfd\0\4name\5valueselect 1"))
    request.say_instead(b"select 2", frozenset())
    assert request.packets == query(b"\0\1select 2")
    assert text_of(request) == b"select 2"
    plain = Side().request(query(b"select 1"))
    plain.say_instead(b"select 2", frozenset())
    assert plain.packets == query(b"select 2")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (command(commands.INIT_DB, b"sh`op"), b"USE `sh``op`"),
        (command(commands.FIELD_LIST, b"orders\0%"), b"SHOW COLUMNS FROM `orders`"),
        (command(commands.RESET_CONNECTION), b"RESET CONNECTION"),
        (command(commands.CREATE_DB, b"x"), None),
    ],
)
def test_other_commands_count_as_what_they_do(side: Side, said: bytes, text: bytes) -> None:
    request = side.request(said)
    assert text_of(request) == text
    assert request.packets == said
    assert not request.only_reads


@pytest.mark.parametrize(
    "said", [command(commands.PROCESS_KILL, number(7)), command(commands.QUERY, b"KILL 7")]
)
@pytest.mark.parametrize("became", Killed)
def test_a_kill_is_no_servers_affair(side: Side, said: bytes, became: Killed) -> None:
    killed: list[Kill] = []
    side.engine.kill = lambda wanted: killed.append(wanted) or became
    request = side.request(said)
    assert killed == [Kill(7, is_query=False)]
    assert not request.executes
    assert request.packets == command(commands.PING)
    assert (request.refusal is None) == (became is Killed.DONE)


def test_a_ping_runs_nothing(side: Side) -> None:
    request = side.request(command(commands.PING))
    assert request.asks_for_ready
    assert not request.executes


@pytest.mark.parametrize("rest", [b"", b"user", b"user\0", b"user\0\xf0abc", b"u\0\0db"])
def test_who_asks_for_another_session_must_say_whose(side: Side, rest: bytes) -> None:
    (request,) = side.engine.cutter.feed(command(commands.CHANGE_USER, rest))
    assert request.end is END_SESSION
    with pytest.raises(RemoteProtocolError) as caught:
        side.engine.read(request)
    assert error_code(caught.value)[0] == 1047


def test_what_a_replica_says_of_itself_goes_in_front_of_its_dump(side: Side) -> None:
    registration = command(commands.REGISTER_SLAVE, bytes(17))
    assert side.request(registration).asks_for_ready
    request = side.request(command(commands.BINLOG_DUMP, bytes(10)))
    assert request.end is END_SESSION
    assert request.takes_link
    assert request.ahead == [registration]


@pytest.mark.parametrize(
    ("code", "rest"),
    [
        (commands.STMT_EXECUTE, b"\1\0"),
        (commands.STMT_EXECUTE, number(1) + b"\0\1\0\0"),
        (commands.STMT_EXECUTE, number(1) + b"\0\1\0\0\0\0\1\xfd"),
        (commands.STMT_BULK_EXECUTE, number(1)),
        (commands.STMT_FETCH, b"\1\0"),
        (commands.STMT_RESET, b"\1"),
        (commands.SET_OPTION, b"\0"),
        (commands.REGISTER_SLAVE, bytes(16)),
    ],
)
def test_half_a_command_is_refused_and_leaves_nothing(side: Side, code: int, rest: bytes) -> None:
    prepared(side)
    request = side.request(command(code, rest))
    assert is_malformed(request)
    assert not request.executes
    assert text_of(side.request(execute(1, typed(INT, FIVE)))) == b"SELECT ?"


@pytest.mark.parametrize("code", [commands.SLEEP, commands.TIME, 0x77])
def test_a_command_that_there_is_not_is_unknown(side: Side, code: int) -> None:
    request = side.request(command(code))
    assert request.refusal is not None
    assert error_code(request.refusal) == (1047, b"08S01")


def test_several_statements_may_be_switched_on_and_off(side: Side) -> None:
    assert side.request(command(commands.SET_OPTION, b"\0\0")).refusal is None
    assert side.request(command(commands.PING)).capabilities & MULTI_STATEMENTS
    assert side.request(command(commands.SET_OPTION, b"\1\0")).refusal is None
    assert not side.request(command(commands.PING)).capabilities & MULTI_STATEMENTS
    assert side.request(command(commands.SET_OPTION, b"\7\0")).refusal is not None


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        (b"\v\fCOMMIT", b"COMMIT"),
        (b"COMMIT", b"COMMIT"),
        (b"commit work", b"COMMIT"),
        (b"commit;", b"COMMIT"),
        (b"\n\n        \t COMMIT", b"COMMIT"),
        (b"/* of an ORM */ commit", b"COMMIT"),
        (b"-- why\nrollback", b"ROLLBACK"),
        (b"# why\n ROLLBACK AND CHAIN", b"ROLLBACK"),
        (b"ROLLBACK TO here", b""),
        (b"rollback work  to savepoint here", b""),
        (b"commits", b""),
        (b"call commit()", b""),
        (b"SELECT 'commit'", b""),
        (b"/* commit */ SELECT 1", b""),
        (b"", b""),
    ],
)
def test_what_ends_a_transaction_is_told(side: Side, sql: bytes, verb: bytes) -> None:
    assert side.request(query(sql)).verb == verb
    prepared(side, sql, 0)
    assert side.request(execute(1)).verb == verb


def test_each_statement_has_a_number_of_the_clients_own(side: Side) -> None:
    first, second = prepared(side), prepared(side)
    assert (first.name, second.name) == (number(1), number(2))
    assert first.prepared is second.prepared


def test_an_execution_runs_what_was_prepared(side: Side) -> None:
    first = prepared(side)
    request = side.request(execute(1, typed(INT, FIVE)))
    assert request.prepared is first.prepared
    assert text_of(request) == b"SELECT ?"
    assert request.has_parameters
    assert request.only_reads
    assert request.named_key() == (number(1), first.prepared, execute(1, typed(INT, FIVE))[9:])


def test_types_that_are_left_out_are_sent_again(side: Side) -> None:
    prepared(side)
    side.request(execute(1, typed(INT, FIVE)))
    request = side.request(execute(1, untyped(SIX)))
    assert request.packets == execute(1, typed(INT, SIX))
    assert request.named_key() is None


def test_an_answer_at_once_has_the_types_of_its_own(side: Side) -> None:
    prepared(side)
    first = execute(1, typed(INT, FIVE))
    side.request(first)
    side.request(execute(1, typed(STRING, b"\1x")))
    side.engine.answered(first)
    assert side.request(execute(1, untyped(SIX))).packets == execute(1, typed(INT, SIX))


def test_types_must_have_come_once(side: Side) -> None:
    prepared(side)
    assert is_malformed(side.request(execute(1, untyped(FIVE))))


def bulk(statement: int, flags: int, rest: bytes) -> bytes:
    said = number(statement) + flags.to_bytes(2, "little") + rest
    return command(commands.STMT_BULK_EXECUTE, said)


def test_types_of_many_executions_are_sent_again(side: Side) -> None:
    prepared(side, b"INSERT INTO t VALUES (?)")
    rows = b"\0\3one\0\3two"
    assert is_malformed(side.request(bulk(1, 0, rows)))
    side.request(bulk(1, 128, STRING + rows))
    request = side.request(bulk(1, 0, rows))
    assert request.packets == bulk(1, 128, STRING + rows)
    assert not request.only_reads


def test_a_text_prepared_twice_is_two_statements_while_one_has_a_cursor(side: Side) -> None:
    first, second = prepared(side, b"SELECT 1", 0), prepared(side, b"SELECT 1", 0)
    assert first.prepared is second.prepared
    side.request(execute(1, flags=1))
    apart = side.request(execute(2)).prepared
    assert apart is not None
    assert apart is not first.prepared
    assert apart.facts is first.prepared.facts  # type: ignore[union-attr]
    assert side.request(execute(2)).prepared is apart
    assert side.request(execute(1)).prepared is first.prepared
    third = prepared(side, b"SELECT 1", 0)
    assert side.request(execute(3)).prepared is third.prepared


def test_a_statement_that_is_not_there_is_named(side: Side) -> None:
    refusal = side.request(execute(77)).refusal
    assert isinstance(refusal, UnknownStatement)
    assert "(77) given to mysqld_stmt_execute" in refusal.message


def test_the_last_one_needs_no_number(side: Side) -> None:
    prepared(side, b"SELECT 1", 0)
    last = prepared(side, b"SELECT 2", 0)
    request = side.request(execute(int.from_bytes(LAST, "little")))
    assert request.prepared is last.prepared
    assert request.name == last.name


def test_what_failed_to_be_prepared_is_not_there(side: Side) -> None:
    request = prepared(side)
    side.engine.undo(request, 0)
    assert side.request(execute(1)).refusal is not None


def test_what_was_closed_is_not_there_and_closing_says_nothing(side: Side) -> None:
    prepared(side)
    close = command(commands.STMT_CLOSE, number(1))
    for _ in range(2):
        request = side.request(close)
        assert request.asks_nothing
        assert request.refusal is None
    assert side.request(execute(1)).refusal is not None


def long_data(statement: int, data: bytes) -> bytes:
    return command(commands.STMT_SEND_LONG_DATA, number(statement) + b"\0\0" + data)


def test_values_sent_ahead_go_with_the_next_execution_only(side: Side) -> None:
    prepared(side)
    parts = [long_data(1, b"one"), long_data(1, b"two")]
    for part in parts:
        assert side.request(part).asks_nothing
    request = side.request(execute(1, typed(STRING, b"")))
    assert request.ahead == parts
    assert not request.only_reads
    assert side.request(execute(1, typed(STRING, b"\1x"))).ahead == []


def test_values_sent_ahead_are_forgotten_by_a_reset(side: Side) -> None:
    prepared(side)
    side.request(long_data(1, b"one"))
    side.request(command(commands.STMT_RESET, number(1)))
    assert side.request(execute(1, typed(STRING, b"\1x"))).ahead == []


def test_values_sent_ahead_are_bounded(side: Side) -> None:
    prepared(side)
    part = long_data(1, bytes(1 << 23))
    for _ in range(MOST_AHEAD // len(part)):
        side.request(part)
    with pytest.raises(MessageTooLarge):
        side.request(part)


def test_rows_that_are_to_be_fetched_are_no_read_of_one_answer(side: Side) -> None:
    prepared(side, b"SELECT 1", 0)
    request = side.request(execute(1, flags=1))
    assert not request.leaves_no_cursor
    assert not request.only_reads
    assert side.request(execute(1)).leaves_no_cursor


def test_the_same_text_under_other_settings_is_another_statement(side: Side) -> None:
    first = prepared(side)
    side.engine.sense = Sense((), (("sql_mode", "''"),))
    assert prepared(side).prepared is not first.prepared


def test_what_is_prepared_may_be_said_otherwise(side: Side) -> None:
    side.engine.say_instead = lambda sql: b"SELECT 2" if sql == b"SELECT 1" else sql
    assert side.request(prepare(b"SELECT 1")).packets == prepare(b"SELECT 2")
    assert side.request(prepare(b"SELECT 3")).packets == prepare(b"SELECT 3")


known = st.sampled_from(sorted(commands.NAMES))


@given(st.lists(st.tuples(known, st.binary(max_size=24)), max_size=6), st.sampled_from((0, NEW)))
def test_garbage_raises_nothing_else(said: list[tuple[int, bytes]], more: int) -> None:
    side = Side(client=more | QUERY_ATTRIBUTES if more else 0)
    prepared(side)
    for code, rest in said:
        try:
            side.requests(command(code, rest))
        except (RemoteProtocolError, MessageTooLarge):
            return


@given(st.binary(max_size=24), st.sampled_from((commands.STMT_EXECUTE, commands.STMT_BULK_EXECUTE)))
def test_garbage_behind_a_statements_number_raises_nothing_else(rest: bytes, code: int) -> None:
    side = Side()
    prepared(side, b"INSERT INTO t VALUES (?, ?)", 2)
    try:
        side.request(command(code, number(1) + rest))
    except RemoteProtocolError:
        return
