"""Replies followed: what ends them, what they say, what is never taken for something else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands, ok, replies
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    MARIADB_PROGRESS,
    OPTIONAL_RESULTSET_METADATA,
    SESSION_TRACK,
    STATUS_AUTOCOMMIT,
    STATUS_IN_TRANS,
    STATUS_MORE_RESULTS,
)
from proxy.wire.mysql.codec import LARGEST, lenenc_string, packet
from proxy.wire.mysql.ok import Error, Ok
from proxy.wire.mysql.replies import ReplyReader
from tests.unit.wire.mysql.recordings import conversations

NEW = DEPRECATE_EOF | SESSION_TRACK
DEFINITION = packet(2, b"\x03def" + b"\0" * 20)
END = ok.end_packet(9, Ok(), NEW)

RECORDED = {one.name: one for one in conversations()}


def heard(name: str) -> list[bytes]:
    return [one.heard for one in RECORDED[name].exchanges]


def read(command: int, reply: bytes, agreed: int = NEW) -> ReplyReader:
    reader = ReplyReader(agreed)
    reader.expect(command)
    assert reader.feed(reply) == reply
    assert not reader.has_rest
    return reader


def kinds(reader: ReplyReader) -> list[int]:
    return [kind for kind, _, _ in reader.found]


def test_a_chunk_passes_as_the_object_that_came() -> None:
    reply = heard("mysql new rows")[0]
    reader = ReplyReader(NEW)
    reader.expect(commands.QUERY)
    assert reader.feed(reply) is reply
    assert reader.done
    assert kinds(reader) == [
        replies.COUNT,
        replies.COLUMNS,
        replies.COLUMNS_END,
        replies.ROWS,
        replies.END,
    ]


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_what_several_results_said_is_told_of_each(server: str) -> None:
    insert, update, _ = heard(f"{server} new changes")
    assert read(commands.QUERY, insert).outcomes == [(1, 4, 0)]
    assert read(commands.QUERY, update).outcomes == [(1, 0, 0)]
    several, called, empty = heard(f"{server} new several")
    assert len(read(commands.QUERY, several).outcomes) == 4
    assert len(read(commands.QUERY, called).outcomes) == 3
    assert ok.read_error(read(commands.QUERY, empty).error).code == 1065


def test_positions_are_told() -> None:
    assert read(commands.QUERY, heard("mariadb new changes")[1]).tracked.gtid.startswith(b"0-7-")
    assert b":" in read(commands.QUERY, heard("mysql new changes")[1]).tracked.gtid


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_changes_of_the_session_are_told(server: str) -> None:
    used, init, unknown, names, settings, variable, temporary = heard(f"{server} new tracked")
    assert read(commands.QUERY, used).tracked.schema == b"mysql"
    assert read(commands.INIT_DB, init).tracked.schema == b"recorded"
    assert read(commands.INIT_DB, unknown).error
    tracked = read(commands.QUERY, names).tracked
    assert tracked.variables == [(b"character_set_client", b"latin1")]
    tracked = read(commands.QUERY, settings).tracked
    assert sorted(tracked.variables) == [(b"sql_mode", b""), (b"time_zone", b"+01:00")]
    assert read(commands.QUERY, variable).tracked.state_changed
    assert read(commands.QUERY, temporary).tracked.state_changed


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_the_state_of_a_transaction_is_told(server: str) -> None:
    begin, _, commit, *_ = heard(f"{server} new transactions")
    assert read(commands.QUERY, begin).status & STATUS_IN_TRANS
    assert not read(commands.QUERY, commit).status & STATUS_IN_TRANS


@pytest.mark.parametrize("form", ["new", "old"])
@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_a_cursor_is_open_until_its_last_row(server: str, form: str) -> None:
    agreed = RECORDED[f"{server} {form} cursors"].capabilities
    _, opened, first, last, missing, _, _ = heard(f"{server} {form} cursors")
    reader = read(commands.STMT_EXECUTE, opened, agreed)
    assert reader.cursor_exists
    assert replies.ROWS not in kinds(reader)
    assert read(commands.STMT_FETCH, first, agreed).cursor_exists
    assert not read(commands.STMT_FETCH, last, agreed).cursor_exists
    assert read(commands.STMT_FETCH, missing, agreed).error


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_a_prepared_statement_is_told(server: str) -> None:
    reader = read(commands.STMT_PREPARE, heard(f"{server} new prepared")[0])
    assert reader.statement > 0
    assert (reader.columns, reader.parameters) == (2, 1)
    assert reader.outcomes == []


def test_a_file_is_waited_for_and_the_reply_goes_on() -> None:
    asked, done = heard("mysql new file")[2:4]
    reader = read(commands.QUERY, asked)
    assert kinds(reader) == [replies.OK, replies.FILE]
    assert not reader.done
    reader.feed(done)
    assert reader.done
    assert reader.outcomes == [(0, 0, 0), (1, 0, 0)]


def test_a_prepared_statement_may_want_a_file() -> None:
    _, asked, done, _ = heard("mariadb new prepared file")
    reader = read(commands.STMT_EXECUTE, asked, NEW | MARIADB_PROGRESS)
    assert kinds(reader) == [replies.FILE]
    reader.feed(done)
    assert reader.outcomes == [(2, 0, 0)]


def test_only_a_result_begins_with_a_wish_for_a_file() -> None:
    reader = ReplyReader(NEW)
    reader.expect(commands.PING)
    with pytest.raises(RemoteProtocolError, match="0xFB"):
        reader.feed(packet(1, b"\xfbname"))


def test_progress_ends_nothing() -> None:
    reader = read(commands.QUERY, heard("mariadb new progress")[0], NEW | MARIADB_PROGRESS)
    assert kinds(reader)[0] == replies.PROGRESS
    assert not reader.error
    assert len(reader.outcomes) == 1


def test_an_error_behind_rows_ends_the_reply() -> None:
    error = ok.error_packet(4, Error(1317, b"70100", b"Query execution was interrupted"))
    reply = packet(1, b"\1") + DEFINITION + packet(3, b"\1a") + error
    reader = read(commands.QUERY, reply)
    assert reader.done
    assert reader.error == error
    assert reader.outcomes == []


def test_a_text_row_may_begin_with_an_empty_value_or_null() -> None:
    rows = packet(3, b"\0") + packet(4, b"\xfb") + packet(5, b"\xfc\1\1" + bytes(257))
    reader = read(commands.QUERY, packet(1, b"\1") + DEFINITION + rows + END)
    assert reader.done
    assert kinds(reader).count(replies.ROWS) == 1


@pytest.mark.parametrize("size", [LARGEST - 9, LARGEST - 8, LARGEST + 1, 2 * LARGEST])
@pytest.mark.parametrize("chunk", [1 << 30, 1_000_003, LARGEST + 4])
def test_a_row_of_16_mb_is_not_taken_for_an_end(size: int, chunk: int) -> None:
    value = b"\xfe" + size.to_bytes(8, "little") + b"\xfe" * size
    reply = packet(1, b"\1") + DEFINITION + packet(3, value) + packet(5, b"\1a") + END
    reader = ReplyReader(NEW)
    reader.expect(commands.QUERY)
    passed = [reader.feed(reply[at : at + chunk]) for at in range(0, len(reply), chunk)]
    assert b"".join(passed) == reply
    assert reader.done
    assert len(reader.outcomes) == 1
    assert not reader.has_rest


def test_a_row_passes_before_it_is_whole() -> None:
    head = packet(1, b"\1") + DEFINITION
    row = packet(3, lenenc_string(b"x" * 10_000))
    reader = ReplyReader(NEW)
    reader.expect(commands.QUERY)
    assert reader.feed(head + row[:100]) == head + row[:100]
    assert kinds(reader)[-1] == replies.ROWS
    assert reader.feed(row[100:9000]) == row[100:9000]
    assert reader.found == []
    assert reader.feed(row[9000:] + END) == row[9000:] + END


def test_a_log_goes_on_until_it_ends() -> None:
    reader = ReplyReader(NEW)
    reader.expect(commands.BINLOG_DUMP_GTID)
    events = packet(1, b"\0" + b"\xfe" * 40) + packet(2, b"\0\xef\1")
    assert reader.feed(events) == events
    assert not reader.done
    reader.feed(ok.eof_packet(3))
    assert reader.done


def test_a_command_without_an_answer_is_done_at_once() -> None:
    reader = ReplyReader(NEW)
    for command in commands.UNANSWERED:
        reader.expect(command)
        assert reader.done


def test_what_nobody_asked_for_is_kept_for_the_owner() -> None:
    reader = ReplyReader(NEW)
    farewell = ok.error_packet(0, Error(4031, b"HY000", b"disconnected by the server"))
    assert reader.feed(farewell) == b""
    assert reader.has_rest
    reader.expect(commands.PING)
    assert reader.feed(b"") == farewell
    assert reader.error == farewell


def test_the_status_outlives_an_error() -> None:
    reader = read(commands.QUERY, ok.ok_packet(1, Ok(status=STATUS_IN_TRANS), NEW))
    reader.expect(commands.QUERY)
    reader.feed(ok.error_packet(1, Error(1064, b"42000", b"no")))
    assert reader.status == STATUS_IN_TRANS


agreements = st.sampled_from((0, NEW, NEW | OPTIONAL_RESULTSET_METADATA | MARIADB_PROGRESS))
payloads = st.binary(min_size=1, max_size=12) | st.sampled_from(
    (
        b"\1",
        b"\2\0",
        b"\0\0\0" + (STATUS_AUTOCOMMIT | STATUS_MORE_RESULTS).to_bytes(2, "little") + b"\0\0",
        b"\xfe\0\0\x0a\0",
        b"\xff\x10\4#08004no",
        b"\0\1\0\0\0\1\0\1\0\0\0\0",
        b"\x03def",
    )
)


@given(
    st.sampled_from(sorted(commands.NAMES)),
    st.lists(payloads, max_size=12),
    st.integers(1, 50),
    agreements,
)
def test_garbage_raises_nothing_else(
    command: int, said: list[bytes], chunk: int, agreed: int
) -> None:
    stream = b"".join(packet(1, one) for one in said)
    reader = ReplyReader(agreed)
    reader.expect(command)
    passed = b""
    with suppress(RemoteProtocolError):
        for at in range(0, len(stream), chunk):
            passed += reader.feed(stream[at : at + chunk])
    assert stream.startswith(passed)
