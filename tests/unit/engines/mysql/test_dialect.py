"""How MySQL says what every engine can say."""

from __future__ import annotations

import pytest

from proxy.engines.mysql.dialect import MySQLDialect
from proxy.errors import NoPrimary
from proxy.routing.plan import Plan
from proxy.routing.reading import Reader
from proxy.session.state import Change, Verb
from proxy.sql.language import MySQLLanguage
from proxy.types import Position
from proxy.wire.mysql.capabilities import (
    PROTOCOL_41,
    STATUS_AUTOCOMMIT,
    STATUS_IN_TRANS,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.exchange import RESET
from proxy.wire.mysql.ok import (
    Ok,
    error_packet,
    gtids_change,
    ok_packet,
    read_error,
    read_ok,
    variable_change,
)
from proxy.wire.mysql.resultset import Column, binary_result, text_result
from proxy.wire.status import IDLE, IN_TRANSACTION
from tests.unit.wire.mysql.recordings import packets_in
from tests.unit.wire.mysql.sides import NEW, Side, execute, prepare, query


class Telling:
    """A history in which the position of commits is the length of what is told of them."""

    by_log = False

    def told(self, gtids: str) -> Position:
        return Position(len(gtids))

    def shown(self, position: Position) -> str:
        return f"at {position}"

    def behind(self, lag: int) -> str:
        return f"{lag} behind"


TELLING = Telling()
DIALECT = MySQLDialect(lambda position, patience: b"SELECT %d, %d" % (position, patience), TELLING)
BUSY = STATUS_AUTOCOMMIT | STATUS_IN_TRANS
COLUMNS = [Column(b"a"), Column(b"b")]


def test_what_is_set_is_set_at_once_and_the_schema_then() -> None:
    changes = [
        Change(Verb.SET, "schema", "`shop`"),
        Change(Verb.SET, "time_zone", "'UTC'"),
        Change(Verb.RESET, "sql_mode"),
        Change(Verb.SET, "collation_connection", "'latin1_bin'"),
        Change(Verb.SET, "character_set_connection", "'latin1'"),
    ]
    assert DIALECT.apply(changes) == (
        b"SET SESSION character_set_connection = 'latin1', SESSION collation_connection = "
        b"'latin1_bin', SESSION sql_mode = DEFAULT, SESSION time_zone = 'UTC'\0USE `shop`"
    )


def test_what_default_would_switch_off_is_taken_from_the_server() -> None:
    """MySQL takes the default of what it keeps in the negative for its contrary."""
    changes = [Change(Verb.RESET, "unique_checks"), Change(Verb.RESET, "foreign_key_checks")]
    assert DIALECT.apply(changes) == (
        b"SET SESSION foreign_key_checks = @@GLOBAL.foreign_key_checks, "
        b"SESSION unique_checks = @@GLOBAL.unique_checks"
    )


def test_nothing_to_be_set_is_nothing_to_be_said() -> None:
    assert DIALECT.apply([]) == b""
    assert DIALECT.together([b"", b"SET @a = 1", b"", b"DO 0"]) == b"SET @a = 1\0DO 0"
    assert DIALECT.apply([Change(Verb.SET, "schema", "`a``b`")]) == b"USE `a``b`"


def test_a_session_is_made_anew_by_a_command() -> None:
    assert DIALECT.anew == RESET + b"\0USE information_schema"


def test_a_position_is_asked_for() -> None:
    assert DIALECT.reached(Position(7)) == b"SELECT 7, 0"
    assert DIALECT.reached(Position(7), 3.0) == b"SELECT 7, 3"


def test_people_are_shown_what_the_history_says() -> None:
    assert DIALECT.shown(Position(20)) == "at 20"
    assert DIALECT.behind(1) == "1 behind"


def test_nobody_waits_for_a_place_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DIALECT.can_wait
    monkeypatch.setattr(TELLING, "by_log", True)
    assert not DIALECT.can_wait


def opening(begin: bytes, *savepoints: str, one_snapshot: bool = False) -> bytes:
    return DIALECT.opening(
        begin, savepoints, has_read=True, one_snapshot=one_snapshot, is_failed=False
    )


def test_what_was_held_back_is_begun_with_its_savepoints() -> None:
    assert opening(b"BEGIN", "a", "b`c") == b"BEGIN\0SAVEPOINT `a`\0SAVEPOINT `b``c`"
    assert opening(b"") == b"START TRANSACTION"


@pytest.mark.parametrize(
    ("begin", "options"),
    [
        (b"", b""),
        (b"Begin WORK", b""),
        (b"START TRANSACTION", b""),
        (b"start transaction read only", b", READ ONLY"),
        (b"START TRANSACTION READ WRITE", b", READ WRITE"),
    ],
)
def test_what_has_read_takes_its_snapshot_when_it_is_begun(begin: bytes, options: bytes) -> None:
    taken = b"START TRANSACTION WITH CONSISTENT SNAPSHOT" + options
    assert opening(begin, one_snapshot=True) == taken


def test_an_error_is_an_error_packet() -> None:
    said = DIALECT.error(NoPrimary("there is no primary"))
    assert said[3] == 1
    assert read_error(said).message == b"there is no primary"
    assert DIALECT.ready(IDLE) == b""


FORMS = [
    text_result(1, COLUMNS, [[b"1", None], [b"", b"x" * 300]], NEW),
    text_result(1, COLUMNS, [[b"1", b"2"]], PROTOCOL_41),
    text_result(1, COLUMNS, [], NEW),
    text_result(1, COLUMNS, [], PROTOCOL_41),
    binary_result(1, COLUMNS, [[b"\7\0\0", b"\5\0\0"]], NEW),
    binary_result(1, COLUMNS, [[b"\7\0\0", b"\5\0\0\1\xfe"]], PROTOCOL_41),
    text_result(1, COLUMNS, [[b"\7\0\0\1\xfe", b"\xfe"]], NEW),
    text_result(1, COLUMNS, [[b"1", b"2"]], NEW, end=Ok(warnings=3)),
    text_result(1, COLUMNS, [[b"1", b"2"]], NEW, end=Ok(info=b"x" * 40)),
    ok_packet(1, Ok(affected_rows=3, last_insert_id=70_000, info=b"Rows matched: 3"), NEW),
    ok_packet(1, Ok(), NEW),
]


@pytest.mark.parametrize("reply", FORMS)
def test_the_end_of_every_reply_can_say_that_a_transaction_is_open(reply: bytes) -> None:
    said = DIALECT.with_status(reply, IN_TRANSACTION)
    *before, end = packets_in(reply)
    *same, changed = packets_in(said)
    assert same == before
    assert read_ok(changed).status == read_ok(end).status | STATUS_IN_TRANS
    assert DIALECT.with_status(said, IDLE) == reply
    alone = DIALECT.with_status(reply, IN_TRANSACTION, begins_itself=True)
    assert alone != said
    assert DIALECT.with_status(alone, IN_TRANSACTION) == alone


def test_an_error_has_no_status() -> None:
    said = error_packet(1, read_error(DIALECT.error(NoPrimary("no"))))
    assert DIALECT.with_status(said, IN_TRANSACTION) == said


@pytest.mark.parametrize("client", [NEW, PROTOCOL_41])
def test_our_own_words_say_how_the_transaction_stands(client: int) -> None:
    side = Side(client=client)
    request = side.request(query(b"BEGIN"))
    assert read_ok(DIALECT.said(request, b"BEGIN", IN_TRANSACTION)).status == BUSY
    assert read_ok(DIALECT.said(request, b"BEGIN", IDLE)).status == STATUS_AUTOCOMMIT
    side.engine.status = 0
    request = side.request(query(b"BEGIN"))
    assert read_ok(DIALECT.said(request, b"BEGIN", IN_TRANSACTION)).status == STATUS_IN_TRANS


@pytest.mark.parametrize("client", [NEW, PROTOCOL_41])
def test_rows_of_our_own_have_the_form_that_was_asked_for(client: int) -> None:
    side = Side(client=client)
    rows = [["x", "1"], ["y", ""]]
    end = Ok(status=BUSY)
    said = DIALECT.table(side.request(query(b"SHOW x")), ["a", "b"], rows, IN_TRANSACTION)
    encoded = [[field.encode() for field in row] for row in rows]
    assert said == text_result(1, COLUMNS, encoded, client, end=end)
    request = side.request(prepare(b"SHOW x"))
    told = DIALECT.table(request, ["a", "b"], rows, IN_TRANSACTION)
    assert told[4:9] == b"\0\1\0\0\0"
    assert (told[9], told[11]) == (2, 0)
    said = DIALECT.table(side.request(execute(1)), ["a", "b"], rows, IN_TRANSACTION)
    assert said == binary_result(1, COLUMNS, encoded, client, end=end)


def test_a_commit_that_was_kept_back_is_the_end_unless_it_failed() -> None:
    end, failed = ok_packet(1, Ok(), NEW), DIALECT.error(NoPrimary("no"))
    assert DIALECT.closed(end, b"", None) == end
    assert DIALECT.closed(end, failed, None) == failed
    assert DIALECT.closed(b"", end, None) == end


def test_a_text_of_ours_is_a_query() -> None:
    request = DIALECT.text(b"COMMIT")
    assert Side().exchange.begin(request) == query(b"COMMIT")
    assert request.executes
    with pytest.raises(NoPrimary):
        DIALECT.failing_part(request, NoPrimary("no"))


def position_after(sql: bytes, *answers: bytes, commits: bool = False) -> Position | None:
    """Where a primary is said to be whose last commits were given these numbers."""
    dialect = MySQLDialect(lambda position, patience: b"", TELLING)
    side = Side()
    side.runs(query(sql), b"".join(answers))
    plans = [Plan(it, 0) for it in Reader(language=MySQLLanguage()).read(sql).statements]
    for plan in plans:
        plan.commits = plan.commits or commits
    return dialect.committed_at(plans, side.exchange)


OWN = gtids_change(b"uuid:1-7")
LAST = variable_change(b"last_gtid", b"0-101-7")
OF_OWN = ok_packet(1, Ok(changes=[OWN]), NEW)
OF_LAST = ok_packet(1, Ok(changes=[LAST]), NEW)
UPDATE = b"UPDATE t SET a = 1"


@pytest.mark.parametrize(
    "sql", [UPDATE, b"COMMIT", b"COMMIT AND CHAIN", b"BEGIN", b"CREATE TABLE t (a int)"]
)
def test_commit_is_where_the_server_says(sql: bytes) -> None:
    assert position_after(sql, OF_OWN) == len("uuid:1-7")
    assert position_after(sql, OF_LAST) == len("0-101-7")


def test_commit_is_called_in_the_log_what_the_server_says() -> None:
    side = Side()
    side.runs(query(UPDATE), ok_packet(1, Ok(changes=[LAST]), NEW))
    plans = [Plan(it, 0) for it in Reader(language=MySQLLanguage()).read(UPDATE).statements]
    assert DIALECT.committed_as(plans, side.exchange) == "0-101-7"
    assert DIALECT.committed_as([], side.exchange) == ""


def test_commit_without_a_number_is_asked_about() -> None:
    assert position_after(UPDATE, ok_packet(1, Ok(), NEW)) is None
    other = variable_change(b"autocommit", b"ON")
    assert position_after(b"SET autocommit = 1", ok_packet(1, Ok(changes=[other]), NEW)) is None


def test_commits_that_may_be_under_several_numberings_are_asked_about() -> None:
    """`gtid_domain_id` may be another in each, and MariaDB tells the last number only."""
    more = ok_packet(1, Ok(status=BUSY & ~STATUS_IN_TRANS | 8, changes=[LAST]), NEW)
    second = ok_packet(2, Ok(changes=[LAST]), NEW)
    assert position_after(UPDATE + b"; " + UPDATE, more, second) is None
    assert position_after(b"CALL p()", OF_LAST, commits=True) is None
    assert position_after(b"CALL p()", more, second) is None
    assert position_after(b"BEGIN NOT ATOMIC UPDATE t SET a = 1; END", OF_LAST) is None
    assert position_after(b"EXECUTE IMMEDIATE 'CALL p()'", OF_LAST) is None
    assert position_after(UPDATE, OF_LAST, commits=True) is None


def test_commit_that_failed_may_have_been_made_all_the_same_and_is_asked_about() -> None:
    failed = packet(1, b"\xff" + (1205).to_bytes(2, "little") + b"#HY000no")
    assert position_after(b"COMMIT", failed) is None
