"""The numbers of packets where each side speaks in turn."""

from __future__ import annotations

import pytest

from proxy.errors import MessageTooLarge, TooManyWaiting
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.errors import BadHandshake, OutOfOrder
from proxy.wire.mysql.turns import MAX_PACKET, Turns, packet_size


def test_what_is_said_and_what_is_heard_have_one_count() -> None:
    turns = Turns()
    assert turns.say(b"hello") == packet(0, b"hello")
    assert turns.hear(packet(1, b"you")) == b"you"
    assert turns.say(b"") == packet(2, b"")


def test_behind_a_command_the_count_begins_at_one() -> None:
    assert Turns(1).say(b"x") == packet(1, b"x")


def test_the_count_goes_round() -> None:
    turns = Turns(255)
    turns.say(b"")
    assert turns.hear(packet(0, b"x")) == b"x"


@pytest.mark.parametrize("number", [0, 2, 255])
def test_another_number_is_out_of_order_and_answered_with_the_right_one(number: int) -> None:
    turns = Turns(is_41=True)
    turns.say(b"hello")
    with pytest.raises(OutOfOrder) as caught:
        turns.hear(packet(number, b"x"))
    assert turns.refusal(caught.value)[3] == 1


def test_another_number_is_told_before_the_size() -> None:
    with pytest.raises(OutOfOrder):
        Turns(1).size(b"GET / HTTP/1.1")


@pytest.mark.parametrize("data", [b"", b"\1\0\0", b"\2\0\0\0a", b"\1\0\0\0ab"])
def test_a_packet_is_whole(data: bytes) -> None:
    with pytest.raises(BadHandshake):
        Turns().hear(data)


def test_the_size_is_known_from_the_header() -> None:
    assert packet_size(b"\x05\0\0\x03rest") == 9
    assert packet_size((MAX_PACKET - 4).to_bytes(3, "little") + b"\0") == MAX_PACKET


def test_a_packet_past_the_limit_is_refused_by_its_header() -> None:
    with pytest.raises(MessageTooLarge, match="131073 bytes"):
        packet_size((MAX_PACKET - 3).to_bytes(3, "little") + b"\0")


def test_one_client_too_many_is_told_in_place_of_a_greeting_as_mysql_does() -> None:
    # As recorded from MySQL 9.7 and MariaDB 10.11.
    refusal = Turns().refusal(TooManyWaiting("Too many connections"))
    assert refusal == b"\x17\0\0\0\xff\x10\x04Too many connections"
