"""One connection to a MySQL server: what is sent on it, and what of its answers goes on.

Every answer is replayed whole, byte by byte, and cut at every offset.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError, UnknownStatement
from proxy.wire import status
from proxy.wire.exchange import Prelude
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import (
    PROTOCOL_41,
    QUERY_ATTRIBUTES,
    STATUS_AUTOCOMMIT,
    STATUS_CURSOR_EXISTS,
    STATUS_IN_TRANS,
    STATUS_LAST_ROW_SENT,
    STATUS_MORE_RESULTS,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.exchange import RESET, SEPARATOR, Exchange
from proxy.wire.mysql.execute import read_statement, with_statement
from proxy.wire.mysql.ok import (
    SCHEMA,
    Ok,
    eof_packet,
    ok_packet,
    text_change,
    variable_change,
)
from proxy.wire.mysql.requests import Request, text
from proxy.wire.mysql.resultset import Column, prepare_ok, text_result
from proxy.wire.requests import End
from tests.unit.wire.mysql.recordings import Conversation, conversations, cut
from tests.unit.wire.mysql.sides import (
    BINARY_ROW,
    INT,
    NEW,
    NO_ROW,
    OK,
    ONE_ROW,
    Side,
    command,
    execute,
    however_cut,
    number,
    prepare,
    prepared_as,
    query,
    refuses,
    typed,
    untyped,
)

ALL = [one for one in conversations() if not one.name.endswith("attributes")]
SELECT = query(b"SELECT a FROM t")
SET = b"SET SESSION time_zone = 'UTC'"
ASKED = b"SELECT 1 WHERE reached"
RESETS = command(commands.RESET_CONNECTION)
OLD = PROTOCOL_41  # the least that a client may have agreed to
BUSY = STATUS_IN_TRANS | STATUS_AUTOCOMMIT


ERROR = refuses(1146, b"42S02")
IN_BLOCK = ok_packet(1, Ok(status=BUSY), NEW)


@pytest.fixture
def side() -> Side:
    return Side()


# What was recorded.


def replay(conversation: Conversation, cuts: Callable[[bytes], list[bytes]]) -> list[object]:
    """Play both ends of a conversation; a statement's number is another at either."""
    agreed = conversation.capabilities
    side = Side(server=agreed, client=agreed)
    names: dict[int, int] = {}  # the server's ids, and the client's
    facts: list[object] = []
    sent = b""
    for said, heard in conversation.exchanges:
        if said[3]:
            if side.exchange.copying_in:
                side.engine.expect_copy(side.exchange.copy_sequence)
                for request in side.requests(said):
                    assert side.exchange.copy(request) == request.packets
                told = side.hears(*cuts(heard))
                assert told == heard
            continue
        mine = said
        if said[4] in (commands.STMT_EXECUTE, commands.STMT_BULK_EXECUTE, *_OF_STATEMENTS):
            mine = with_statement(said, names.get(read_statement(said[4:]), 77))
        request = side.request(mine)
        if request.refusal is not None or request.asks_nothing:
            continue
        sent = side.exchange.begin(request)
        told = side.hears(*cuts(heard))
        if said == RESETS:
            assert side.hears(heard) == heard
            continue
        if request.is_whole and request.command != commands.STMT_BULK_EXECUTE:
            assert sent.endswith(said)  # behind what is closed
        if said[4] == commands.STMT_PREPARE and not side.exchange.error:
            names[read_statement(heard[4:])] = read_statement(told[4:])
            told = with_statement(told, read_statement(heard[4:]))
        assert told == heard
        exchange = side.exchange
        facts.append((exchange.done, exchange.status, exchange.error, exchange.tags))
        facts.append((exchange.plain, exchange.outcomes, exchange.opened, exchange.copying_in))
    return facts


_OF_STATEMENTS = (commands.STMT_FETCH, commands.STMT_RESET, commands.STMT_CLOSE)


@pytest.mark.parametrize("conversation", ALL, ids=[one.name for one in ALL])
def test_what_was_recorded_passes_however_it_is_cut(conversation: Conversation) -> None:
    whole = replay(conversation, lambda heard: [heard])
    assert whole
    assert replay(conversation, lambda heard: cut(heard, *range(1, len(heard)))) == whole
    for size in (2, 3, 7, 100):
        assert replay(conversation, lambda heard, size=size: in_pieces(heard, size)) == whole


def in_pieces(stream: bytes, size: int) -> list[bytes]:
    return cut(stream, *range(size, len(stream), size))


# What comes in front of a request.


def test_what_comes_first_is_answered_first_and_kept_back() -> None:
    def play(chunks: list[bytes]) -> object:
        side = Side()
        exchange = side.exchange
        said = exchange.prelude(Prelude.STATE, SEPARATOR.join((SET, b"USE `shop`")))
        said += exchange.prelude(Prelude.POSITION, ASKED) + side.sends(SELECT)
        assert said == query(SET) + query(b"USE `shop`") + query(ASKED) + SELECT
        told = side.hears(*chunks)
        assert (exchange.done, exchange.error, exchange.position_missing) == (True, None, False)
        assert exchange.plain
        return told

    answer = OK + OK + ONE_ROW + ONE_ROW
    assert play([answer]) == ONE_ROW
    however_cut(answer, play)


@pytest.mark.parametrize("missing", [NO_ROW, ERROR])
def test_a_replica_that_is_behind_has_answered_nothing(side: Side, missing: bytes) -> None:
    exchange = side.exchange
    exchange.prelude(Prelude.POSITION, ASKED)
    side.sends(SELECT)
    assert side.hears(missing + ONE_ROW) == b""
    assert exchange.done
    assert exchange.position_missing


def test_a_setting_that_is_refused_is_the_answer(side: Side) -> None:
    exchange = side.exchange
    exchange.prelude(Prelude.STATE, SET)
    side.sends(SELECT)
    assert side.hears(ERROR, ONE_ROW) == b""
    assert exchange.done
    assert exchange.state_error
    assert exchange.error == ERROR


def test_facts_of_one_request_are_not_the_next_ones(side: Side) -> None:
    exchange = side.exchange
    exchange.prelude(Prelude.STATE, SET)
    exchange.prelude(Prelude.POSITION, ASKED)
    side.sends(SELECT)
    side.hears(ERROR + NO_ROW + ONE_ROW)
    assert side.runs(SELECT, ONE_ROW) == ONE_ROW
    assert not exchange.state_error
    assert not exchange.position_missing
    assert exchange.error is None


# Questions of our own.


def test_a_questions_rows_are_read_and_nothing_goes_on() -> None:
    two = text_result(1, [Column(b"a"), Column(b"b")], [[b"1", None], [b"", b"x"]], NEW)

    def play(chunks: list[bytes]) -> object:
        exchange = Exchange(NEW, 10)
        assert exchange.ask(SEPARATOR.join((SET, ASKED))) == query(SET) + query(ASKED)
        assert [exchange.feed(chunk) for chunk in chunks] == [b""] * len(chunks)
        assert exchange.done
        return exchange.rows

    assert play([OK + two]) == [[b"1", None], [b"", b"x"]]
    however_cut(OK + two, play)


def test_a_question_of_an_old_server_is_read() -> None:
    exchange = Exchange(0, 10)
    exchange.ask(ASKED)
    exchange.feed(text_result(1, [Column(b"a")], [[b"1"], [b"2"]], 0))
    assert exchange.rows == [[b"1"], [b"2"]]


def test_a_reset_begins_the_session_anew() -> None:
    exchange = Exchange(NEW, 10, SEPARATOR.join((b"SET NAMES utf8mb4", SET)))
    nowhere = query(b"USE information_schema")
    assert exchange.reset() == RESETS + query(b"SET NAMES utf8mb4") + query(SET) + nowhere
    assert exchange.feed(OK * 4) == b""
    assert exchange.done
    assert exchange.prelude(Prelude.STATE, SEPARATOR.join((RESET, b"USE `x`"))) == (
        RESETS + query(b"SET NAMES utf8mb4") + query(SET) + query(b"USE `x`")
    )


def test_a_reset_of_the_clients_own_leaves_what_each_session_begins_with() -> None:
    side = Side()
    side.exchange = Exchange(NEW, 10, SET)
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    assert side.sends(RESETS) == RESETS + query(SET) + command(commands.PING)
    assert side.hears(OK + OK) == b""
    assert side.hears(OK) == OK
    assert side.exchange.done
    assert isinstance(side.request(execute(1)).refusal, UnknownStatement)


def test_a_reset_leaves_a_connection_without_a_schema_without_one(side: Side) -> None:
    side.exchange.is_nowhere = True
    assert side.exchange.reset() == RESETS


def test_a_reset_that_is_refused_says_so(side: Side) -> None:
    side.exchange.reset()
    side.hears(ERROR + OK)
    assert side.exchange.error == ERROR


@pytest.mark.parametrize(
    ("sql", "answer", "ran_nothing"),
    [
        (b"SELEC", refuses(1064), True),
        (b"", refuses(1065), True),
        (b"SELECT nothing", ERROR, False),
        (b"SELECT 1", ONE_ROW, False),
        (b"Call p()", refuses(1064), False),
        (b"EXECUTE IMMEDIATE 'SELEC'", refuses(1064), False),
        (b"BEGIN NOT ATOMIC DELETE FROM t; prepare s FROM 'SELEC'; END", refuses(1064), False),
        (b"SELEC " + b"1" * 70_000, refuses(1064), False),
        (
            b"DELETE FROM t; SELEC",
            ok_packet(1, Ok(status=STATUS_MORE_RESULTS), NEW) + refuses(1064, sequence=2),
            False,
        ),
    ],
)
def test_a_text_that_is_no_sql_runs_nothing(
    side: Side, sql: bytes, answer: bytes, *, ran_nothing: bool
) -> None:
    side.runs(query(sql), answer)
    assert side.exchange.ran_nothing is ran_nothing


def test_in_a_transaction_nobody_knows_what_a_refused_text_has_done(side: Side) -> None:
    side.runs(query(b"BEGIN"), IN_BLOCK)
    side.runs(query(b"SELEC"), refuses(1064))
    assert not side.exchange.ran_nothing


# What is prepared.


def test_a_statement_goes_by_another_number_on_either_side() -> None:
    side = Side()
    assert side.sends(prepare(b"SELECT ?")) == prepare(b"SELECT ?")
    answer = prepared_as(41, parameters=1)
    assert side.hears(answer) == with_statement(answer, 1)
    assert side.sends(execute(1, typed(INT, b"\5\0\0\0"))) == execute(41, typed(INT, b"\5\0\0\0"))
    assert side.hears(BINARY_ROW) == BINARY_ROW
    assert side.exchange.plain


def test_the_number_is_replaced_however_its_answer_is_cut() -> None:
    answer = prepared_as(0x01020304, columns=2, parameters=2)

    def play(chunks: list[bytes]) -> bytes:
        side = Side()
        side.sends(prepare(b"SELECT ?, ?"))
        return side.hears(*chunks)

    assert play([answer]) == with_statement(answer, 1)
    however_cut(answer, play)


def test_on_another_connection_it_is_prepared_anew_with_its_types(side: Side) -> None:
    side.runs(prepare(b"SELECT ?"), prepared_as(41, parameters=1))
    side.runs(execute(1, typed(INT, b"\5\0\0\0")), BINARY_ROW)
    side.reconnects()
    exchange = side.exchange
    request = side.request(execute(1, untyped(b"\6\0\0\0")))
    missing = exchange.must_prepare(request)
    assert missing == [request.prepared]
    assert exchange.lacking(request) == missing
    assert exchange.prepare(SET, missing) == query(SET) + prepare(b"SELECT ?")
    assert side.hears(OK + prepared_as(5, parameters=1)) == b""
    assert exchange.done
    assert exchange.must_prepare(request) == []
    assert exchange.begin(request) == execute(5, typed(INT, b"\6\0\0\0"))


def test_one_that_cannot_be_prepared_anew_is_no_error_of_a_setting(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    side.reconnects()
    request = side.request(execute(1))
    side.exchange.prepare(SET, side.exchange.must_prepare(request))
    side.hears(OK + ERROR)
    assert side.exchange.done
    assert side.exchange.error == ERROR
    assert not side.exchange.state_error
    assert side.exchange.must_prepare(request)


def test_a_setting_refused_in_front_of_it_is(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    side.reconnects()
    request = side.request(execute(1))
    side.exchange.prepare(SET, side.exchange.must_prepare(request))
    side.hears(ERROR + prepared_as(1))
    assert side.exchange.state_error


def test_a_full_connection_closes_what_was_used_longest_ago() -> None:
    side = Side(room=2)
    for place, sql in enumerate((b"SELECT 1", b"SELECT 2"), 1):
        side.runs(prepare(sql), prepared_as(40 + place))
    side.runs(execute(1), BINARY_ROW)
    side.runs(prepare(b"SELECT 3"), prepared_as(43))
    assert side.sends(execute(1)) == command(commands.STMT_CLOSE, number(42)) + execute(41)
    side.hears(BINARY_ROW)
    assert side.sends(execute(3)) == execute(43)
    side.hears(BINARY_ROW)
    assert side.exchange.must_prepare(side.request(execute(2)))


def test_the_same_text_prepared_twice_is_closed_once(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    side.runs(prepare(b"SELECT 1"), prepared_as(42))
    assert side.sends(execute(1)) == command(commands.STMT_CLOSE, number(41)) + execute(42)
    side.hears(BINARY_ROW)
    assert side.sends(execute(2)) == execute(42)


def test_a_text_that_is_refused_is_not_prepared(side: Side) -> None:
    request = side.request(prepare(b"SELEC 1"))
    side.exchange.begin(request)
    assert side.hears(refuses(1064)) == refuses(1064)
    assert side.exchange.confirmed == 0
    assert not side.exchange.plain
    side.runs(prepare(b"SELECT 1"), prepared_as(7))
    assert side.exchange.confirmed == 1


def test_values_sent_ahead_are_sent_with_the_execution(side: Side) -> None:
    side.runs(prepare(b"SELECT ?"), prepared_as(41, parameters=1))
    parts = [
        command(commands.STMT_SEND_LONG_DATA, number(1) + b"\0\0" + data) for data in (b"x", b"y")
    ]
    for part in parts:
        side.request(part)
    run = execute(1, typed(b"\xfc\0", b""))
    assert side.sends(run) == b"".join(with_statement(one, 41) for one in (*parts, run))


def test_a_cursor_is_open_until_its_last_row(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    opened = STATUS_AUTOCOMMIT | STATUS_CURSOR_EXISTS
    cursor = NO_ROW[:-11] + ok_packet(3, Ok(status=opened), NEW, 0xFE)
    assert side.sends(execute(1, flags=1)) == execute(41, flags=1)
    assert side.hears(cursor) == cursor
    assert side.exchange.opened
    fetch = command(commands.STMT_FETCH, number(1) + number(2))
    assert side.sends(fetch) == with_statement(fetch, 41)
    row = packet(1, b"\0\0\0011")
    more = row + ok_packet(2, Ok(status=opened), NEW, 0xFE)
    assert side.hears(more) == more
    assert side.exchange.opened
    side.sends(fetch)
    last = opened | STATUS_LAST_ROW_SENT
    side.hears(row + ok_packet(2, Ok(status=last), NEW, 0xFE))
    assert not side.exchange.opened


def test_a_reset_connection_has_nothing_prepared(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    side.exchange.reset()
    side.hears(OK + OK)
    assert side.exchange.must_prepare(side.request(execute(1)))


# Files.

LOAD = query(b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t")
WISH = b"\xfbf"


def test_a_file_is_asked_for_and_passed_on(side: Side) -> None:
    exchange = side.exchange
    side.sends(LOAD)
    assert side.hears(packet(1, WISH)) == packet(1, WISH)
    assert exchange.copying_in
    assert not exchange.done
    side.engine.expect_copy(exchange.copy_sequence)
    (piece,) = side.requests(packet(2, b"one\n"))
    assert exchange.copy(piece) == packet(2, b"one\n")
    (end,) = side.requests(packet(3, b""))
    assert end.end is End.COPY_END
    assert exchange.copy(end) == packet(3, b"")
    assert not exchange.copying_in
    done = ok_packet(4, Ok(affected_rows=1), NEW)
    assert side.hears(done) == done
    assert exchange.tags == [b"OK 1"]


def test_a_file_that_ends_early_would_be_loaded_so_its_end_is_not_said(side: Side) -> None:
    assert side.exchange.give_up(is_open=False) == b""
    side.sends(LOAD)
    side.hears(packet(1, WISH))
    assert side.exchange.give_up(is_open=False) is None


def test_a_file_behind_a_translated_result_has_two_counts() -> None:
    first = text_result(1, [Column(b"a")], [[b"1"]], NEW, end=Ok(status=2 | STATUS_MORE_RESULTS))
    asked = first[-8] + 1
    file = b"".join(packet(asked + 2 + place, b"x" * size) for place, size in enumerate((9, 4, 0)))
    expected = b"".join(
        packet(asked + 1 + place, b"x" * size) for place, size in enumerate((9, 4, 0))
    )

    def play(chunks: list[bytes]) -> bytes:
        side = Side(client=OLD)
        exchange = side.exchange
        side.sends(query(b"SELECT 1; LOAD DATA LOCAL INFILE 'f' INTO TABLE t"))
        told = side.hears(first + packet(asked, WISH))
        assert told.endswith(packet(asked + 1, WISH))
        side.engine.expect_copy(exchange.copy_sequence)
        found = [request for chunk in chunks for request in side.requests(chunk)]
        sent = b"".join(exchange.copy(request) for request in found)
        assert side.hears(ok_packet(asked + 4, Ok(), NEW)) == ok_packet(asked + 5, Ok(), OLD)
        assert exchange.done
        return sent

    assert play([file]) == expected
    however_cut(file, play)


# Results.


def test_each_of_several_results_is_told(side: Side) -> None:
    side.sends(query(b"SELECT 1; UPDATE t SET a = 1"))
    more = Ok(status=STATUS_AUTOCOMMIT | STATUS_MORE_RESULTS)
    first = text_result(1, [Column(b"a")], [[b"1"]], NEW, end=more)
    assert side.hears(first) == first
    assert not side.exchange.done
    side.hears(ok_packet(5, Ok(affected_rows=3, last_insert_id=9), NEW))
    assert side.exchange.done
    assert side.exchange.tags == [b"OK 0", b"OK 3"]
    assert side.exchange.outcomes == [(0, 0, 0), (3, 9, 0)]
    assert not side.exchange.plain


def test_a_client_that_agreed_to_less_is_told_less() -> None:
    answer = text_result(1, [Column(b"a")], [[b"1"], [b"2"]], NEW)

    def play(chunks: list[bytes]) -> bytes:
        side = Side(client=OLD)
        side.sends(SELECT)
        return side.hears(*chunks)

    assert play([answer]) == text_result(1, [Column(b"a")], [[b"1"], [b"2"]], OLD)
    however_cut(answer, play)


def test_an_end_of_columns_that_is_made_here_says_the_sessions_state() -> None:
    side = Side(client=OLD)
    side.exchange.prelude(Prelude.STATE, SET)
    side.sends(SELECT)
    end = Ok(status=0)  # autocommit is off
    columns, rows = [Column(b"a")], [[b"1"]]
    side.hears(ok_packet(1, end, NEW))
    said = side.hears(text_result(1, columns, rows, NEW, end=end))
    assert said == text_result(1, columns, rows, OLD, end=end)


def test_a_prepared_statement_is_translated_too() -> None:
    columns = [Column(b"a")]
    answer = prepare_ok(1, 41, columns, 2, NEW)

    def play(chunks: list[bytes]) -> bytes:
        side = Side(client=OLD)
        side.sends(prepare(b"SELECT ? + ?"))
        return side.hears(*chunks)

    assert play([answer]) == with_statement(prepare_ok(1, 41, columns, 2, OLD), 1)
    however_cut(answer, play)


def test_a_client_without_tracking_is_told_nothing_of_it_but_we_are() -> None:
    changes = [variable_change(b"time_zone", b"UTC"), text_change(SCHEMA, b"shop")]
    side = Side(client=OLD)
    side.sends(query(b"SET time_zone = 'UTC'"))
    assert side.hears(ok_packet(1, Ok(changes=changes), NEW)) == ok_packet(1, Ok(), OLD)
    tracked = side.exchange.take_tracked()
    assert tracked is not None
    assert tracked.variables == [(b"time_zone", b"UTC")]
    assert tracked.schema == b"shop"
    assert side.exchange.take_tracked() is None
    assert not side.exchange.plain


def test_the_number_that_mysql_gives_a_statement_is_no_change(side: Side) -> None:
    end = Ok(changes=[variable_change(b"statement_id", b"7")])
    side.runs(SELECT, text_result(1, [Column(b"a")], [[b"1"]], NEW, end=end))
    assert side.exchange.plain
    assert side.exchange.take_tracked() is None


def test_the_end_of_a_commit_can_be_kept_back(side: Side) -> None:
    exchange = side.exchange
    exchange.begin(side.request(query(b"COMMIT")), keeps_end=True)
    assert side.hears(OK) == b""
    assert exchange.take_end() == OK
    assert exchange.take_end() == b""
    assert exchange.tags == [b"COMMIT"]


def test_a_commit_that_fails_may_have_been_made_durable(side: Side) -> None:
    side.sends(query(b"COMMIT"))
    side.hears(ERROR)
    assert side.exchange.tags == [b"COMMIT"]


def test_what_is_discarded_does_not_go_on(side: Side) -> None:
    side.sends(SELECT)
    assert side.hears(ONE_ROW[:9]) == ONE_ROW[:5]
    side.exchange.discard()
    assert side.hears(ONE_ROW[9:]) == b""
    assert side.exchange.done


def test_the_first_row_proves_a_snapshot(side: Side) -> None:
    request = side.request(SELECT)
    side.exchange.begin(request)
    before = ONE_ROW[: ONE_ROW.index(packet(3, b"\0011"))]
    assert not side.exchange.has_snapshot(request, side.hears(before))
    assert side.exchange.has_snapshot(request, side.hears(ONE_ROW[len(before) :]))


# What an error means, and how the transaction stands.


@pytest.mark.parametrize(
    ("code", "standing"),
    [
        (1213, status.IDLE),
        (1614, status.IDLE),
        (1205, status.IN_TRANSACTION),
        (1062, status.IN_TRANSACTION),
        (1317, status.IN_TRANSACTION),
    ],
)
def test_an_error_leaves_a_transaction_open_but_for_a_deadlock(
    side: Side, code: int, standing: int
) -> None:
    side.runs(query(b"BEGIN"), IN_BLOCK)
    assert side.exchange.status == status.IN_TRANSACTION
    assert side.runs(query(b"UPDATE t SET a = 1"), refuses(code)) == refuses(code)
    assert side.exchange.status == standing


def test_an_error_does_not_hide_what_began_in_front_of_it(side: Side) -> None:
    began = ok_packet(1, Ok(status=BUSY | STATUS_MORE_RESULTS), NEW)
    side.runs(query(b"BEGIN; INSERT INTO t VALUES (1)"), began + refuses(1062))
    assert side.exchange.status == status.IN_TRANSACTION


def test_where_nothing_is_committed_by_itself_an_error_may_have_begun_a_transaction(
    side: Side,
) -> None:
    side.runs(query(b"SET autocommit = 0"), ok_packet(1, Ok(status=0), NEW))
    side.runs(query(b"INSERT INTO t VALUES (1)"), refuses(1062))
    assert side.exchange.status == status.IN_TRANSACTION
    side.runs(query(b"SELECT"), refuses(1064))
    assert side.exchange.status == status.IN_TRANSACTION
    side.runs(query(b"UPDATE t SET a = 1"), refuses(1213))
    assert side.exchange.status == status.IDLE
    side.runs(query(b"INSERT INTO t VALUES (1)"), refuses(1062))
    side.runs(query(b"ROLLBACK"), ok_packet(1, Ok(status=0), NEW))
    assert side.exchange.status == status.IDLE


@pytest.mark.parametrize("code", [1317, 1969, 3024])
def test_what_was_stopped_is_told(side: Side, code: int) -> None:
    side.runs(SELECT, refuses(code))
    assert side.exchange.was_canceled
    assert not side.exchange.said_goodbye


@pytest.mark.parametrize("code", [1053, 1927, 3169, 4031])
def test_a_goodbye_is_told(side: Side, code: int) -> None:
    side.runs(SELECT, refuses(code))
    assert side.exchange.said_goodbye


def test_a_statement_that_must_be_prepared_again_is_told(side: Side) -> None:
    side.runs(SELECT, refuses(1615))
    assert side.exchange.wants_new_texts


def test_an_error_behind_rows_is_the_end(side: Side) -> None:
    answer = ONE_ROW[:-11] + refuses(1317, sequence=4)
    assert side.runs(SELECT, answer) == answer
    assert side.exchange.error == refuses(1317, sequence=4)


def test_a_farewell_may_come_while_nothing_is_asked(side: Side) -> None:
    side.exchange.idle_feed(refuses(4031, sequence=0))
    assert side.exchange.farewell == refuses(4031, sequence=0)


@pytest.mark.parametrize("data", [OK, eof_packet(0), b"\xff"])
def test_nothing_else_may(side: Side, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        side.exchange.idle_feed(data)


def test_an_answer_to_nothing_is_refused(side: Side) -> None:
    side.sends(SELECT)
    with pytest.raises(RemoteProtocolError, match="not asked"):
        side.hears(ONE_ROW + OK)


def test_a_statement_that_is_not_there_cannot_be_run(side: Side) -> None:
    side.runs(prepare(b"SELECT 1"), prepared_as(41))
    side.reconnects()
    with pytest.raises(RemoteProtocolError, match="not prepared"):
        side.sends(execute(1))


said = st.sampled_from((SELECT, prepare(b"SELECT 1"), command(commands.PING), LOAD))
heard = st.lists(
    st.sampled_from((OK, ONE_ROW, NO_ROW, ERROR, packet(1, WISH), prepared_as(3), ONE_ROW[:20]))
    | st.binary(max_size=20),
    max_size=5,
)


@given(said, heard, st.booleans())
def test_garbage_raises_nothing_else(data: bytes, chunks: list[bytes], old: bool) -> None:
    side = Side(client=OLD if old else NEW)
    side.exchange.prelude(Prelude.POSITION, ASKED)
    request = side.request(data)
    assert isinstance(request, Request)
    side.exchange.begin(request)
    try:
        for chunk in chunks:
            side.exchange.feed(chunk)
    except RemoteProtocolError:
        return


def test_statement_of_other_kinds_of_values_is_prepared_anew(side: Side) -> None:
    side.runs(prepare(b"SELECT ?"), prepared_as(41, parameters=1))
    side.runs(execute(1, typed(INT, b"\6\0\0\0")), OK)
    same = side.request(execute(1, typed(INT, b"\7\0\0\0")))
    assert side.exchange.must_prepare(same) == []
    other = side.request(execute(1, typed(b"\xfd\0", b"\1a")))
    assert side.exchange.must_prepare(other) == [other.prepared]
    assert side.exchange.prepare(b"", [other.prepared]) == prepare(b"SELECT ?")
    side.hears(prepared_as(42, parameters=1))
    assert side.exchange.must_prepare(other) == []
    close = command(commands.STMT_CLOSE, number(41))
    assert side.exchange.begin(other) == close + execute(42, typed(b"\xfd\0", b"\1a"))


def test_a_text_of_ours_has_the_form_that_the_connection_agreed_to() -> None:
    exchange = Exchange(NEW | QUERY_ATTRIBUTES, 10)
    assert exchange.begin(text(b"COMMIT")) == query(b"\0\1COMMIT")
    assert Exchange(NEW, 10).begin(text(b"COMMIT")) == query(b"COMMIT")
