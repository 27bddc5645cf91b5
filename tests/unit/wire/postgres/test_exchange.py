"""One server connection: what is sent on it, and what of its answers goes on to the client.

Every answer is replayed whole, byte by byte, and cut at every offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire import status
from proxy.wire.exchange import Prelude
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.cutting import Cutter
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import Request
from proxy.wire.prepared import AS_AT_LOGIN
from proxy.wire.requests import End

SYNC, FLUSH = frontend.SYNC, frontend.FLUSH
IDLE = backend.READY_IDLE
PARSED, BOUND, CLOSED = backend.PARSE_COMPLETE, backend.BIND_COMPLETE, backend.CLOSE_COMPLETE
COLUMNS = backend.row_description([backend.Column(b"a")])
ROWS = backend.data_row([b"1"]) * 3 + backend.command_complete(b"SELECT 3")
ERROR = backend.error_response(b"ERROR", b"42P01", b"no such table")
NOTICE = backend.notice_response(b"NOTICE", b"00000", b"mind")
NEWS = backend.notification_response(7, b"news", b"x")
ZONE = backend.parameter_status(b"TimeZone", b"UTC")
COPY_IN = backend.copy_response(tags.COPY_IN_RESPONSE, 0, [0])
DESCRIBE = frontend.describe(tags.PORTAL, b"")
EXECUTE = frontend.execute(b"")
ONE_ROW = COLUMNS + backend.data_row([b"1"]) + backend.command_complete(b"SELECT 1") + IDLE
NO_ROW = COLUMNS + backend.command_complete(b"SELECT 0") + IDLE


class Side:
    """A client's engine and one server connection."""

    def __init__(self, room: int = 10) -> None:
        self.library = Library(lambda: 0, lambda sql: False)
        self.engine = ClientEngine(self.library)
        self.exchange = Exchange({}, room)
        self.told = b""

    def request(self, data: bytes) -> Request:
        (request,) = Cutter().feed(data)
        self.engine.read(request)
        return request

    def sends(self, data: bytes, *, sync: bool = False) -> bytes:
        """Begin a request; returns what goes to the server."""
        sent = self.exchange.begin(self.request(data), sync=sync)
        self.told += self.exchange.say_at_once()
        return sent

    def goes_on(self, data: bytes) -> bytes:
        sent = self.exchange.go_on(self.request(data))
        self.told += self.exchange.say_at_once()
        return sent

    def hears(self, *chunks: bytes) -> bytes:
        """The server answers; returns what the client is told."""
        told, self.told = self.told, b""
        return told + b"".join(map(self.exchange.feed, chunks))

    def runs(self, data: bytes, answer: bytes) -> None:
        """Have something done before the test begins."""
        self.sends(data)
        self.hears(answer)
        assert self.exchange.done

    def server_name(self, sql: bytes) -> bytes:
        return self.library.find(sql, (), AS_AT_LOGIN).server_name


def cuts(answer: bytes) -> Iterator[list[bytes]]:
    """The same answer, as it may come."""
    yield [answer]
    yield [answer[at : at + 1] for at in range(len(answer))]
    for at in range(1, len(answer)):
        yield [answer[:at], answer[at:]]


def check(
    begin: Callable[[], Side],
    answer: bytes,
    told: bytes,
    judge: Callable[[Exchange], None] = lambda exchange: None,
) -> None:
    """Replay an answer in every way it may come; each tells the client the same."""
    for chunks in cuts(answer):
        side = begin()
        for chunk in chunks[:-1]:
            side.told += side.exchange.feed(chunk)
        assert side.hears(chunks[-1]) == told
        assert side.exchange.done
        judge(side.exchange)


# What is passed on as it is.


@pytest.mark.parametrize(
    "batch",
    [
        frontend.query(b"SELECT a"),
        frontend.parse(b"", b"SELECT a") + frontend.bind(b"", b"") + EXECUTE + SYNC,
        frontend.parse(b"", b"SELECT a")
        + frontend.describe(tags.STATEMENT, b"")
        + frontend.bind(b"p", b"")
        + frontend.execute(b"p")
        + SYNC,
        frontend.function_call(1, [b"x"]),
    ],
    ids=["simple", "unnamed", "named portal", "function call"],
)
def test_what_names_no_statement_is_sent_as_it_came(batch: bytes) -> None:
    assert Side().sends(batch) == batch


def test_an_answer_is_passed_on_and_its_facts_are_noted() -> None:
    def begin() -> Side:
        side = Side()
        side.sends(frontend.query(b"SELECT a"))
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.tags == [b"SELECT 3"]
        assert exchange.status == status.IDLE
        assert exchange.plain
        assert exchange.error is None

    answer = COLUMNS + ROWS + IDLE
    check(begin, answer, answer, judge)


@pytest.mark.parametrize("between", [NOTICE, ZONE, NEWS], ids=["notice", "parameter", "news"])
def test_what_is_not_of_the_answer_is_passed_on_and_noted(between: bytes) -> None:
    def begin() -> Side:
        side = Side()
        side.sends(frontend.query(b"SELECT a"))
        return side

    def judge(exchange: Exchange) -> None:
        assert not exchange.plain
        assert exchange.parameters == ({b"TimeZone": b"UTC"} if between is ZONE else {})

    answer = COLUMNS + between + ROWS + IDLE
    check(begin, answer, answer, judge)


@pytest.mark.parametrize("ready", [IDLE, backend.READY_TRANSACTION, backend.READY_FAILED])
def test_the_status_is_the_last_one_said(ready: bytes) -> None:
    side = Side()
    side.runs(frontend.query(b"BEGIN"), backend.command_complete(b"BEGIN") + ready)
    assert side.exchange.status == ready[-1]


def test_several_command_tags_are_noted_in_order() -> None:
    side = Side()
    answer = b"".join(map(backend.command_complete, (b"BEGIN", b"INSERT 0 1", b"COMMIT"))) + IDLE
    side.runs(frontend.query(b"BEGIN; INSERT ...; COMMIT"), answer)
    assert side.exchange.tags == [b"BEGIN", b"INSERT 0 1", b"COMMIT"]


# Statements under shared names.

NAMED = frontend.parse(b"s", b"SELECT a") + SYNC
USE = frontend.bind(b"", b"s") + DESCRIBE + EXECUTE + SYNC


def test_a_named_statement_gets_a_shared_name() -> None:
    side = Side()
    sent = side.sends(NAMED)
    shared = side.server_name(b"SELECT a")
    assert sent == frontend.parse(shared, b"SELECT a") + SYNC
    assert side.hears(PARSED + IDLE) == PARSED + IDLE
    assert side.sends(USE) == frontend.bind(b"", shared) + DESCRIBE + EXECUTE + SYNC
    describe = frontend.describe(tags.STATEMENT, b"s") + SYNC
    side.hears(BOUND + COLUMNS + ROWS + IDLE)
    assert side.sends(describe) == frontend.describe(tags.STATEMENT, shared) + SYNC


def test_a_statement_that_is_there_is_said_to_be_parsed_in_its_place() -> None:
    def begin() -> Side:
        side = Side()
        side.runs(NAMED, PARSED + IDLE)
        batch = EXECUTE + frontend.parse(b"t", b"SELECT a") + frontend.bind(b"", b"t") + SYNC
        shared = side.server_name(b"SELECT a")
        assert side.sends(batch) == EXECUTE + frontend.bind(b"", shared) + SYNC
        return side

    check(begin, ROWS + BOUND + IDLE, ROWS + PARSED + BOUND + IDLE)


def test_what_is_said_first_waits_for_the_servers_first_word() -> None:
    """It may yet be thrown away with the rest of the answer."""
    side = Side()
    side.runs(NAMED, PARSED + IDLE)
    side.sends(frontend.parse(b"t", b"SELECT a") + frontend.bind(b"", b"t") + SYNC)
    assert side.told == b""
    assert side.hears(BOUND) == PARSED + BOUND
    side.exchange.discard()
    assert side.hears(IDLE) == b""


def test_what_needs_no_server_is_said_at_once() -> None:
    side = Side()
    side.runs(NAMED, PARSED + IDLE)
    flushed = frontend.parse(b"t", b"SELECT a") + frontend.close(tags.STATEMENT, b"t") + FLUSH
    assert side.sends(flushed) == FLUSH
    assert side.told == PARSED + CLOSED


def test_a_statement_of_another_connection_is_parsed_here_first() -> None:
    def begin() -> Side:
        side = Side()
        side.runs(NAMED, PARSED + IDLE)
        side.exchange = Exchange({}, 10)
        shared = side.server_name(b"SELECT a")
        injected = frontend.parse(shared, b"SELECT a")
        use = frontend.bind(b"", shared) + DESCRIBE + EXECUTE + SYNC
        assert side.sends(USE) == injected + use
        return side

    answer = BOUND + COLUMNS + ROWS + IDLE
    check(begin, PARSED + answer, answer)


def test_an_error_in_a_parse_of_ours_is_the_clients() -> None:
    def begin() -> Side:
        side = Side()
        side.runs(NAMED, PARSED + IDLE)
        side.exchange = Exchange({}, 10)
        side.sends(USE)
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.error == ERROR
        assert not exchange.editor.prepared

    check(begin, ERROR + IDLE, ERROR + IDLE, judge)


def test_the_least_recently_used_statement_makes_room() -> None:
    side = Side(room=2)
    for name, sql in ((b"a", b"SELECT a"), (b"b", b"SELECT b")):
        side.runs(frontend.parse(name, sql) + SYNC, PARSED + IDLE)
    side.runs(frontend.bind(b"", b"a") + SYNC, BOUND + IDLE)
    sent = side.sends(frontend.parse(b"c", b"SELECT c") + SYNC)
    gone, new = side.server_name(b"SELECT b"), side.server_name(b"SELECT c")
    assert sent == frontend.close(tags.STATEMENT, gone) + frontend.parse(new, b"SELECT c") + SYNC
    assert side.hears(CLOSED + PARSED + IDLE) == PARSED + IDLE
    assert [prepared.sql for prepared in side.exchange.editor.prepared] == [
        b"SELECT a",
        b"SELECT c",
    ]


def test_a_parse_in_a_failed_transaction_is_for_the_server_to_judge() -> None:
    """A statement that is there already would be said to be prepared, where a server refuses."""
    side = Side()
    side.runs(NAMED, PARSED + IDLE)
    side.runs(frontend.query(b"SELECT b"), ERROR + backend.READY_FAILED)
    one_more = frontend.parse(b"t", b"SELECT a")
    assert side.sends(one_more + SYNC) == frontend.parse(b"", b"SELECT a") + SYNC
    refused = ERROR + backend.READY_FAILED
    assert side.hears(refused) == refused
    assert side.exchange.confirmed == 0


def test_a_close_of_a_named_statement_is_said_in_its_place() -> None:
    def begin() -> Side:
        side = Side()
        side.runs(NAMED, PARSED + IDLE)
        batch = EXECUTE + frontend.close(tags.STATEMENT, b"s") + EXECUTE + SYNC
        assert side.sends(batch) == EXECUTE + EXECUTE + SYNC
        return side

    def judge(exchange: Exchange) -> None:
        assert len(exchange.editor.prepared) == 1  # it stays, for the others

    check(begin, ROWS + ROWS + IDLE, ROWS + CLOSED + ROWS + IDLE, judge)


@pytest.mark.parametrize(
    ("answer", "ran_nothing"),
    [
        (backend.error_response(b"ERROR", b"42601", b"no"), True),
        (ERROR, False),
        (ROWS + backend.error_response(b"ERROR", b"42601", b"no"), False),
        (backend.error_response(b"ERROR", b"42601", b"no", {backend.WHERE: b"f()"}), False),
        (backend.error_response(b"ERROR", b"42601", b"no", {backend.INTERNAL_QUERY: b"a"}), False),
        (ROWS, False),
    ],
)
def test_a_text_that_is_no_sql_runs_nothing(answer: bytes, *, ran_nothing: bool) -> None:
    side = Side()
    side.runs(frontend.query(b"SELEC"), answer + IDLE)
    assert side.exchange.ran_nothing is ran_nothing


def test_a_name_that_is_taken_is_refused_in_the_servers_own_words() -> None:
    side = Side()
    side.runs(NAMED, PARSED + IDLE)
    again = frontend.parse(b"s", b"SELECT b")
    assert side.sends(again + SYNC) == again + again + SYNC
    refusal = backend.error_response(b"ERROR", b"42P05", b"it exists")
    assert side.hears(PARSED + refusal + IDLE) == refusal + IDLE
    # What was only parsed to be refused is closed before anything else.
    stray = frontend.close(tags.STATEMENT, b"s")
    assert side.sends(frontend.query(b"SELECT 1")) == stray + frontend.query(b"SELECT 1")
    assert side.hears(CLOSED + ONE_ROW) == ONE_ROW


def test_an_unnamed_statement_follows_its_client_to_another_connection() -> None:
    side = Side()
    side.runs(frontend.parse(b"", b"SELECT a") + SYNC, PARSED + IDLE)
    use = frontend.bind(b"", b"") + EXECUTE + SYNC
    assert side.sends(use) == use
    side.hears(BOUND + ROWS + IDLE)
    side.exchange = Exchange({}, 10)
    assert side.sends(use) == frontend.parse(b"", b"SELECT a") + use
    assert side.hears(PARSED + BOUND + ROWS + IDLE) == BOUND + ROWS + IDLE


def test_an_unnamed_statement_does_not_survive_a_query() -> None:
    side = Side()
    side.runs(frontend.parse(b"", b"SELECT a") + SYNC, PARSED + IDLE)
    side.runs(frontend.query(b"SELECT 1"), ONE_ROW)
    use = frontend.bind(b"", b"") + EXECUTE + SYNC
    # Whatever is there now is somebody else's: it is closed, and the server says what is missing.
    assert side.sends(use) == frontend.close(tags.STATEMENT, b"") + use
    assert side.hears(CLOSED + ERROR + IDLE) == ERROR + IDLE


def test_an_unnamed_statement_of_another_client_is_never_used() -> None:
    side = Side()
    side.runs(frontend.parse(b"", b"SELECT secret") + SYNC, PARSED + IDLE)
    side.engine = ClientEngine(side.library)
    use = frontend.bind(b"", b"") + EXECUTE + SYNC
    assert side.sends(use) == frontend.close(tags.STATEMENT, b"") + use


# Errors in the middle.


def test_what_follows_an_error_is_not_owed() -> None:
    def begin() -> Side:
        side = Side()
        side.runs(NAMED, PARSED + IDLE)
        side.sends(
            frontend.bind(b"", b"s")
            + EXECUTE
            + frontend.parse(b"t", b"SELECT a")
            + frontend.parse(b"u", b"SELECT b")
            + frontend.close(tags.STATEMENT, b"s")
            + SYNC
        )
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.confirmed == 0
        assert [prepared.sql for prepared in exchange.editor.prepared] == [b"SELECT a"]

    check(begin, BOUND + ERROR + IDLE, BOUND + ERROR + IDLE, judge)


def test_what_came_before_an_error_is_confirmed() -> None:
    def begin() -> Side:
        side = Side()
        side.sends(
            frontend.parse(b"s", b"SELECT a")
            + frontend.parse(b"t", b"SELECT b")
            + EXECUTE
            + frontend.close(tags.STATEMENT, b"t")
            + SYNC
        )
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.confirmed == 2
        assert len(exchange.editor.prepared) == 2

    check(begin, PARSED * 2 + ERROR + IDLE, PARSED * 2 + ERROR + IDLE, judge)


@pytest.mark.parametrize(
    ("answer", "confirmed", "is_lost"),
    [
        (ERROR + IDLE, 0, True),
        (PARSED + ERROR + IDLE, 1, False),
        (PARSED + BOUND + ERROR + IDLE, 1, False),
        (PARSED + BOUND + ROWS + IDLE, 1, False),
    ],
)
def test_the_fate_of_an_unnamed_statement_is_known(
    answer: bytes, confirmed: int, is_lost: bool
) -> None:
    def begin() -> Side:
        side = Side()
        side.sends(frontend.parse(b"", b"SELECT a") + frontend.bind(b"", b"") + EXECUTE + SYNC)
        return side

    def judge(exchange: Exchange) -> None:
        assert (exchange.confirmed, exchange.unnamed_is_lost) == (confirmed, is_lost)

    check(begin, answer, answer, judge)


# Batches that stay open.


def test_a_batch_that_is_ended_for_its_client_hides_the_end() -> None:
    def begin() -> Side:
        side = Side()
        open_batch = frontend.parse(b"", b"SELECT a") + FLUSH
        assert side.sends(open_batch, sync=True) == open_batch + SYNC
        return side

    check(begin, PARSED + IDLE, PARSED)


def test_a_batch_goes_on_in_parts() -> None:
    def begin() -> Side:
        side = Side()
        side.sends(frontend.parse(b"s", b"SELECT a") + frontend.bind(b"", b"s") + FLUSH)
        side.goes_on(frontend.parse(b"t", b"SELECT a") + frontend.bind(b"", b"t") + FLUSH)
        side.goes_on(EXECUTE + SYNC)
        return side

    told = PARSED + BOUND + PARSED + BOUND + ROWS + IDLE
    check(begin, PARSED + BOUND + BOUND + ROWS + IDLE, told)


def test_an_error_leaves_a_batch_open_until_its_sync() -> None:
    side = Side()
    side.sends(frontend.parse(b"", b"SELECT a") + FLUSH)
    assert side.hears(ERROR) == ERROR
    assert not side.exchange.done
    assert side.exchange.wants_sync
    assert side.goes_on(SYNC) == SYNC
    assert side.hears(IDLE) == IDLE
    assert side.exchange.done


def test_a_query_behind_a_batch_is_skipped_with_it() -> None:
    side = Side()
    side.sends(frontend.parse(b"", b"SELECT a") + frontend.query(b"SELECT 1"))
    side.hears(ERROR)
    assert side.exchange.wants_sync


def test_an_error_of_the_query_behind_a_batch_ends_it() -> None:
    side = Side()
    side.sends(frontend.parse(b"", b"SELECT a") + frontend.query(b"SELECT 1"))
    side.hears(PARSED + ERROR)
    assert not side.exchange.wants_sync
    side.hears(IDLE)
    assert side.exchange.done


# What comes in front.


def prelude(side: Side, kind: Prelude = Prelude.STATE) -> None:
    side.exchange.prelude(kind, b"SET a TO 1")


SET = backend.command_complete(b"SET") + IDLE


@pytest.mark.parametrize("edited", [False, True])
def test_the_answer_to_a_prelude_is_kept_back(edited: bool) -> None:
    batch = NAMED if edited else frontend.parse(b"", b"SELECT a") + SYNC

    def begin() -> Side:
        side = Side()
        prelude(side)
        prelude(side, Prelude.POSITION)
        side.sends(batch)
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.parameters == {b"TimeZone": b"UTC"}
        assert not exchange.state_error
        assert not exchange.position_missing
        assert exchange.tags == []

    check(begin, ZONE + SET + ONE_ROW + PARSED + IDLE, PARSED + IDLE, judge)


def test_a_refused_setting_discards_what_follows() -> None:
    def begin() -> Side:
        side = Side()
        prelude(side)
        side.sends(frontend.query(b"SELECT a"))
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.state_error
        assert exchange.error == ERROR

    check(begin, ERROR + IDLE + COLUMNS + ROWS + IDLE, b"", judge)


@pytest.mark.parametrize("answer", [NO_ROW, ERROR + IDLE], ids=["behind", "error"])
def test_a_position_that_is_not_reached_discards_what_follows(answer: bytes) -> None:
    def begin() -> Side:
        side = Side()
        prelude(side, Prelude.POSITION)
        side.sends(frontend.query(b"SELECT a"))
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.position_missing
        assert not exchange.state_error

    check(begin, answer + COLUMNS + ROWS + IDLE, b"", judge)


def test_the_next_request_is_not_discarded() -> None:
    side = Side()
    prelude(side, Prelude.POSITION)
    side.runs(frontend.query(b"SELECT a"), NO_ROW + COLUMNS + ROWS + IDLE)
    side.sends(frontend.query(b"SELECT a"))
    assert side.hears(ONE_ROW) == ONE_ROW
    assert not side.exchange.position_missing


def test_what_was_discarded_does_not_come_back() -> None:
    side = Side()
    side.sends(frontend.query(b"SELECT a"))
    side.exchange.discard()
    assert side.hears(COLUMNS, ROWS, IDLE) == b""
    assert side.exchange.done


def test_a_question_of_our_own_is_answered_to_us() -> None:
    def begin() -> Side:
        side = Side()
        assert side.exchange.ask(b"SELECT 1") == frontend.query(b"SELECT 1")
        return side

    def judge(exchange: Exchange) -> None:
        assert exchange.rows == [[b"1"]]
        assert exchange.asynchronous == NEWS * 2

    check(begin, NEWS + ONE_ROW[: -len(IDLE)] + NEWS + IDLE, b"", judge)


def test_a_prelude_keeps_news_for_whom_they_are() -> None:
    side = Side()
    prelude(side)
    side.sends(frontend.query(b"SELECT a"))
    assert side.hears(NEWS + SET) == b""
    assert side.exchange.asynchronous == NEWS


# COPY.


def rows_for_copy(side: Side) -> Request:
    return side.request(frontend.copy_data(b"1\n"))


def end_of_copy(side: Side) -> Request:
    request = side.request(frontend.COPY_DONE)
    assert request.end is End.COPY_END
    return request


def test_a_copy_in_a_simple_query() -> None:
    side = Side()
    side.sends(frontend.query(b"COPY t FROM STDIN"))
    assert side.hears(COPY_IN) == COPY_IN
    assert side.exchange.copying_in
    assert not side.exchange.wants_sync
    assert side.exchange.copy(rows_for_copy(side)) == frontend.copy_data(b"1\n")
    side.exchange.copy(end_of_copy(side))
    assert not side.exchange.copying_in
    done = backend.command_complete(b"COPY 1") + IDLE
    assert side.hears(done) == done
    assert side.exchange.done


@pytest.mark.parametrize("name", [b"", b"c"])
def test_a_sync_in_front_of_the_rows_is_lost(name: bytes) -> None:
    side = Side()
    copy = frontend.parse(name, b"COPY t FROM STDIN") + frontend.bind(b"", name) + EXECUTE + SYNC
    side.sends(copy)
    side.hears(PARSED + BOUND + COPY_IN)
    assert side.exchange.wants_sync
    side.exchange.copy(end_of_copy(side))
    assert side.hears(backend.command_complete(b"COPY 0")) != b""
    side.goes_on(SYNC)
    side.hears(IDLE)
    assert side.exchange.done
    # Nothing is owed for the one that was lost.
    side.exchange.editor.prepared.clear()
    side.runs(frontend.parse(b"x", b"SELECT x") + SYNC, PARSED + IDLE)
    side.exchange.editor.prepared.clear()
    side.sends(frontend.bind(b"", b"x") + SYNC)
    assert side.hears(PARSED + BOUND + IDLE) == BOUND + IDLE


def test_a_copy_that_fails_wants_no_more_rows() -> None:
    side = Side()
    side.sends(frontend.query(b"COPY t FROM STDIN"))
    side.hears(COPY_IN + ERROR)
    assert not side.exchange.copying_in


def test_rows_that_go_out_pass_through() -> None:
    def begin() -> Side:
        side = Side()
        side.sends(frontend.query(b"COPY t TO STDOUT"))
        return side

    out = backend.copy_response(tags.COPY_OUT_RESPONSE, 0, [0])
    data = frontend.copy_data(b"1\n") * 2 + backend.COPY_DONE
    answer = out + data + backend.command_complete(b"COPY 2") + IDLE
    check(begin, answer, answer)


# While nothing is asked.


@pytest.mark.parametrize("said", [NEWS, NOTICE, ZONE, ERROR])
def test_what_comes_behind_an_answer_is_no_part_of_it(said: bytes) -> None:
    """A server that is being stopped says so right behind the answer to a COMMIT."""
    answer = backend.command_complete(b"COMMIT") + IDLE
    parse, bind = frontend.parse(b"", b"COMMIT"), frontend.bind(b"", b"")
    for question in (frontend.query(b"COMMIT"), parse + bind + EXECUTE + SYNC):
        side = Side()
        side.sends(question)
        head = b"" if question[0] == tags.QUERY else PARSED + BOUND
        assert side.exchange.feed(head + answer + said) == head + answer
        assert side.exchange.done
        assert side.exchange.error is None
        assert side.exchange.tags == [b"COMMIT"]
        assert side.exchange.farewell == (ERROR if said is ERROR else None)
        assert side.exchange.asynchronous == (b"" if said is ERROR else said)


@pytest.mark.parametrize("said", [NEWS, NOTICE, ZONE, ERROR])
def test_what_comes_unasked_is_kept_for_whoever_is_pinned(said: bytes) -> None:
    for chunks in cuts(said):
        exchange = Exchange({}, 10)
        exchange.ask(b"SELECT 1")  # which looks at other messages
        exchange.feed(ONE_ROW)
        for chunk in chunks:
            exchange.idle_feed(chunk)
        assert exchange.asynchronous == (b"" if said is ERROR else said)
        assert exchange.farewell == (ERROR if said is ERROR else None)
        assert exchange.parameters == ({b"TimeZone": b"UTC"} if said is ZONE else {})


@pytest.mark.parametrize(
    "said", [IDLE, PARSED, backend.command_complete(b"SELECT 1"), b"A\0\0\0\0"]
)
def test_an_answer_that_nobody_asked_for_is_an_error(said: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Exchange({}, 10).idle_feed(said)


@given(st.lists(st.binary(max_size=40), max_size=5), st.booleans())
def test_garbage_from_a_server_raises_nothing_else(chunks: list[bytes], edited: bool) -> None:
    side = Side()
    side.sends(NAMED if edited else frontend.query(b"SELECT 1"))
    try:
        side.hears(*chunks)
    except RemoteProtocolError:
        return


MESSAGES = st.lists(
    st.sampled_from(
        [PARSED, BOUND, CLOSED, COLUMNS, ROWS, ERROR, NOTICE, NEWS, ZONE, COPY_IN, IDLE]
    ),
    max_size=8,
)


@given(MESSAGES, st.booleans())
def test_messages_in_any_order_raise_nothing(messages: list[bytes], edited: bool) -> None:
    side = Side()
    side.sends(NAMED if edited else frontend.query(b"SELECT 1"))
    passed = side.hears(*messages)
    kept = passed.count(ERROR)
    assert kept == messages.count(ERROR)


def test_cuts_are_the_same_answer() -> None:
    answer = COLUMNS + IDLE
    assert all(b"".join(chunks) == answer for chunks in cuts(answer))
    assert len({tuple(map(len, chunks)) for chunks in cuts(answer)}) == len(answer) + 1
