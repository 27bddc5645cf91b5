"""What is asked of each new connection to a MySQL server, and how its bytes are cut meanwhile."""

from __future__ import annotations

import pytest

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.runtime.mysql.opening import MySQLTongue, _ask, setup
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.exchange import SEPARATOR, Exchange
from proxy.wire.mysql.ok import Error, error_packet
from proxy.wire.mysql.turns import MAX_PACKET
from tests.unit.wire.mysql.sides import NEW, OK, ONE_ROW, query

REFUSED = error_packet(1, Error(1193, b"HY000", b"Unknown system variable"))


def test_a_dialogues_packets_are_cut_however_they_come() -> None:
    packets = [packet(0, b"a"), packet(1, b""), packet(2, b"c" * 300)]
    stream = b"".join(packets)
    for size in (1, 2, 5, len(stream)):
        cutter = MySQLTongue().new_cutter()
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [one for chunk in chunks for one in cutter.feed(chunk)] == packets


def test_a_packet_too_large_for_a_login_is_refused_by_its_header() -> None:
    with pytest.raises(RemoteProtocolError):
        MySQLTongue().new_cutter().feed(MAX_PACKET.to_bytes(3, "little") + b"\0")


def test_a_servers_words_are_read() -> None:
    assert MySQLTongue().words(REFUSED) == "Unknown system variable"


def test_gtids_are_tracked_where_they_are_no_variable() -> None:
    assert b"session_track_gtids" in setup(is_mariadb=False)
    assert b"session_track_gtids" not in setup(is_mariadb=True)
    for statement in setup(is_mariadb=True).split(SEPARATOR):
        assert statement.startswith(b"SET ")


def test_a_question_is_asked_and_its_rows_come_back() -> None:
    dialogue = _ask(Exchange(NEW, 1), SEPARATOR.join((b"SET a", b"SELECT b")))
    assert next(dialogue) == query(b"SET a") + query(b"SELECT b")
    assert dialogue.send(OK + ONE_ROW[:9]) == b""
    with pytest.raises(StopIteration) as stop:
        dialogue.send(ONE_ROW[9:])
    assert stop.value.value == [[b"1"]]


def test_a_connection_that_refuses_is_not_used() -> None:
    dialogue = _ask(Exchange(NEW, 1), b"SET a")
    next(dialogue)
    with pytest.raises(ServerLost, match="Unknown system variable"):
        dialogue.send(REFUSED)
