"""Binary logs as real servers have told them, whole and in pieces; and what is none."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.wire.mysql import binlog as b
from proxy.wire.mysql import compression
from proxy.wire.mysql.binlog import Event, Stream, dump, place_of, prepare
from proxy.wire.mysql.binlog_commits import PART, Commit, Reader
from proxy.wire.mysql.codec import LARGEST, packet

RECORDED = Path(__file__).parent / "recorded"
ENGINES = ["mariadb", "mysql"]
IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ

Told = tuple[str, dict[str, int], set[str], bool]

PLAIN = {"d.plain": 1}
ALIKE = [
    ({}, set(), False),  # three tables are made
    ({}, set(), False),
    ({}, set(), False),
    (PLAIN, set(), True),
    (PLAIN, set(), True),
    (PLAIN, set(), True),
    ({"d.simple": 1}, set(), True),
    ({"d.plain": 1, "d.packed": 1}, set(), True),
    (PLAIN, set(), True),  # prepared, for two phases
    ({}, set(), False),  # and committed
    ({}, set(), False),  # told as a statement
    ({}, {"d.plain"}, True),
    (PLAIN, set(), True),  # images in part
    (PLAIN, set(), True),
    ({}, set(), False),  # a table is dropped
]
PACKED = ({"d.packed": 1}, set(), True)


@cache
def recording(engine: str) -> tuple[str, bytes]:
    file, *said = (RECORDED / f"binlog_{engine}.txt").read_text().split()
    return bytes.fromhex(file).decode(), b"".join(map(bytes.fromhex, said))


class Log:
    """What has been told of a log."""

    def __init__(self, file: str) -> None:
        self.stream = Stream(file)
        self.reader = Reader()
        self.commits: list[Commit] = []
        self.place = 0

    def feed(self, data: bytes) -> None:
        for event in self.stream.feed(data):
            commit = self.reader.take(event)
            self.place = max(self.place, event.place)
            if commit is not None:
                self.commits.append(commit)

    @property
    def said(self) -> list[Told]:
        return [
            (
                it.gtid,
                {f"{schema.decode()}.{name.decode()}": n for (schema, name), n in it.rows.items()},
                {f"{schema.decode()}.{name.decode()}" for schema, name in it.emptied},
                it.is_clear,
            )
            for it in self.commits
        ]


def told(engine: str, size: int = 1 << 20) -> Log:
    file, data = recording(engine)
    found = Log(file)
    for start in range(0, len(data), size):
        found.feed(data[start : start + size])
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_recorded_log_is_understood(engine: str) -> None:
    found = told(engine)
    assert [it[1:] for it in found.said] == [*ALIKE, PACKED]
    assert all(it.is_over for it in found.commits)
    assert len({it.gtid for it in found.commits}) == len(found.commits)
    places = [it.place for it in found.commits]
    assert places == sorted(places)
    assert places[0] >> 40 == 1
    assert found.place >> 40 == 2  # it was rotated
    assert found.place == places[-1]


def test_without_zstd_what_is_compressed_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "HAS_ZSTD", False)
    assert told("mysql").said[-1][1:] == ({}, set(), False)
    assert told("mariadb").said[-1][1:] == PACKED


@given(at=st.integers(0, 200), garbage=st.binary(max_size=4))
@settings(max_examples=300, deadline=None)
def test_what_is_compressed_wrongly_may_be_anything(at: int, garbage: bytes) -> None:
    reader = begun()
    file, said = recording("mysql")
    (body,) = [it.body for it in Stream(file).feed(said) if it.kind == b.TRANSACTION_PAYLOAD]
    wrong = body[:at] + garbage + body[at + len(garbage) :]
    commit = reader.take(event(b.TRANSACTION_PAYLOAD, wrong))
    assert commit is not None
    assert commit.is_over


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_it_is_the_same_in_pieces(engine: str, size: int) -> None:
    assert told(engine, size).said == told(engine).said


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_cut_off_is_waited_for(engine: str) -> None:
    file, data = recording(engine)
    whole = told(engine).said
    for cut in range(0, len(data), 1 if IS_SOAK else 17):
        found = Log(file)
        found.feed(data[:cut])
        assert found.said == whole[: len(found.said)]
        found.feed(data[cut:])
        assert found.said == whole


@pytest.mark.parametrize("engine", ENGINES)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_or_told_and_nothing_else(engine: str, data: st.DataObject) -> None:
    file, said = recording(engine)
    at = data.draw(st.integers(0, len(said) - 1))
    length = data.draw(st.integers(0, 40))
    garbage = data.draw(st.binary(max_size=40))
    found = Log(file)
    with suppress(RemoteProtocolError, ServerLost):
        found.feed(said[:at] + garbage + said[at + length :])


@given(st.binary(max_size=2000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused_or_waited_for(garbage: bytes) -> None:
    with suppress(RemoteProtocolError, ServerLost):
        Log("b.000001").feed(garbage)


@pytest.mark.parametrize("kind", [b.TABLE_MAP, b.QUERY, b.GTID, b.MARIA_GTID, *sorted(b.ROWS)])
@given(body=st.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_bodies_that_are_cut_off_are_refused_or_told(kind: int, body: bytes) -> None:
    reader = begun()
    if kind in (b.GTID, b.MARIA_GTID):
        reader = Reader()
    with suppress(RemoteProtocolError):
        reader.take(event(kind, body))


def event(kind: int, body: bytes = b"", *, flags: int = 0, is_whole: bool = True) -> Event:
    return Event(kind, flags, 1, 100, body, is_whole)


def query(text: bytes, schema: bytes = b"d") -> Event:
    head = bytes(8) + bytes((len(schema),)) + bytes(4)
    return event(b.QUERY, head + schema + b"\0" + text)


def begun(*, standalone: bool = False) -> Reader:
    reader = Reader()
    assert reader.take(event(b.MARIA_GTID, bytes((7, *[0] * 11, standalone)) + bytes(6))) is None
    return reader


@pytest.mark.parametrize(
    ("text", "emptied"),
    [
        (b"truncate t", (b"d", b"t")),
        (b"TRUNCATE TABLE `a b`", (b"d", b"a b")),
        (b"TRUNCATE  other . `t`;", (b"other", b"t")),
        (b"TRUNCATE t, u", None),
        (b"TRUNCATE /* x */ t", None),
        (b"TRUNCATE `a``b`", None),
        (b"TRUNCATE `\xc3\xa4`", None),
        (b"DELETE FROM t", None),
    ],
)
def test_which_table_was_emptied_is_told_where_it_is_certain(
    text: bytes, emptied: tuple[bytes, bytes] | None
) -> None:
    commit = begun(standalone=True).take(query(text))
    assert commit is not None
    assert commit.is_clear == (emptied is not None)
    assert commit.emptied == ({emptied} if emptied else set())


@pytest.mark.parametrize("text", [b"SAVEPOINT a", b"ROLLBACK TO `a`", b"rollback work to a"])
def test_savepoints_say_nothing(text: bytes) -> None:
    reader = begun()
    assert reader.take(query(text)) is None
    commit = reader.take(event(b.XID, bytes(8)))
    assert commit is not None
    assert commit.is_clear


@pytest.mark.parametrize("kind", [17, 18, 9, 77, b.QUERY_COMPRESSED])
def test_what_is_not_understood_may_be_anything(kind: int) -> None:
    reader = begun()
    reader.take(event(kind, bytes(20)))
    commit = reader.take(event(b.XID, bytes(8)))
    assert commit is not None
    assert not commit.is_clear


def test_what_may_be_ignored_is() -> None:
    reader = begun()
    reader.take(event(77, flags=b.IGNORABLE_FLAG))
    commit = reader.take(event(b.XID, bytes(8)))
    assert commit is not None
    assert commit.is_clear


def test_rows_of_an_unknown_table_may_be_of_any() -> None:
    reader = begun()
    reader.take(event(30, bytes(20)))
    commit = reader.take(event(b.XID, bytes(8)))
    assert commit is not None
    assert not commit.is_clear


def test_a_large_commit_is_told_in_parts() -> None:
    reader = begun()
    reader.take(event(b.TABLE_MAP, bytes(8) + b"\1d\0\1t\0"))
    parts = [reader.take(event(30, bytes(20))) for _ in range(2 * PART)]
    found = [it for it in parts if it is not None]
    assert [it.rows for it in found] == [{(b"d", b"t"): PART}] * 2
    assert not any(it.is_over for it in found)
    last = reader.take(event(b.XID, bytes(8)))
    assert last is not None
    assert last.is_over
    assert {it.gtid for it in [*found, last]} == {"0-1-7"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (b.GTID_TAGGED, "tag"),
        (b.ANONYMOUS_GTID, "without a GTID"),
        (b.INCIDENT, "incident"),
        (b.XID, "outside"),
    ],
)
def test_what_can_not_be_followed_is_said(kind: int, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        Reader().take(event(kind, bytes(60)))


def framed(kind: int, body: bytes, offset: int = 0, *, checksum: bool = True) -> bytes:
    size = b.EVENT_HEADER + len(body) + 4 * checksum
    head = bytes(4) + bytes((kind,)) + bytes(4) + size.to_bytes(4, "little")
    head += offset.to_bytes(4, "little") + bytes(2) + body
    if checksum:
        head += zlib.crc32(head).to_bytes(4, "little")
    return packet(0, b"\0" + head)


def beginning(offset: int = 4) -> bytes:
    described = bytes(56) + bytes((b.EVENT_HEADER,)) + bytes(41) + b"\1"
    return framed(b.ROTATE, offset.to_bytes(8, "little") + b"b.000009") + framed(
        b.FORMAT_DESCRIPTION, described
    )


def test_an_event_in_several_packets_is_one() -> None:
    stream = Stream("b.000009")
    stream.feed(beginning())
    data = framed(30, bytes(LARGEST + 1000), 4 + LARGEST + 1023)
    found: list[Event] = []
    for start in range(0, len(data), 1 << 20):
        found += stream.feed(data[start : start + (1 << 20)])
    (only,) = found
    assert not only.is_whole
    assert only.place == place_of("b.000009", 4 + LARGEST + 1023)
    (after,) = stream.feed(framed(b.XID, bytes(8), 4 + LARGEST + 1023 + 31))
    assert after.is_whole


def test_places_go_on_where_four_bytes_do_not_hold_them() -> None:
    stream = Stream("b.000009")
    stream.feed(beginning((1 << 32) - 100))
    (event,) = stream.feed(framed(b.XID, bytes(8), 20))
    assert event.place == place_of("b.000009", (1 << 32) + 20)
    (beat,) = stream.feed(framed(b.HEARTBEAT, b"b.000009", 10))
    assert beat.place == event.place


def test_a_wrong_checksum_is_noticed() -> None:
    stream = Stream("b.000009")
    stream.feed(beginning())
    wrong = bytearray(framed(b.XID, bytes(8), 50))
    wrong[-1] ^= 1
    with pytest.raises(RemoteProtocolError, match="checksum"):
        stream.feed(bytes(wrong))


def test_an_error_ends_the_log_in_the_servers_words() -> None:
    with pytest.raises(ServerLost, match="REPLICATION SLAVE"):
        Stream("b.000009").feed(packet(1, b"\xff\xcb\x04#42000you need REPLICATION SLAVE"))


def test_an_end_is_an_end() -> None:
    with pytest.raises(ServerLost, match="ended"):
        Stream("b.000009").feed(packet(1, b"\xfe\0\0\2\0"))


def test_what_is_asked_for() -> None:
    assert dump("b.000009", 4, 1 << 31) == packet(0, b"\x12\4\0\0\0\0\0\0\0\0\x80" + b"b.000009")
    assert b"@mariadb_slave_capability = 4" in b" ".join(
        prepare(is_mariadb=True, seconds=1.0, uuid="u")
    )
    assert b"@replica_uuid = 'u'" in b" ".join(prepare(is_mariadb=False, seconds=1.0, uuid="u"))


@pytest.mark.parametrize(("file", "offset"), [("b", 4), ("b.x", 4), ("b.1", -1), ("b.1", 1 << 50)])
def test_what_is_no_place_is_refused(file: str, offset: int) -> None:
    with pytest.raises(RemoteProtocolError):
        place_of(file, offset)
