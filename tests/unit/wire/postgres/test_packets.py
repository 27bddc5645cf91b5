"""The packets that open a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import packets
from proxy.wire.postgres.packets import CancelRequest, EncryptionRequest, StartupMessage

words = st.binary(max_size=20).map(lambda word: word.replace(b"\0", b""))
names = words.filter(bool)


def test_a_startup_message_is_as_the_manual_has_it() -> None:
    built = packets.startup_message({b"user": b"ann", b"database": b""})
    assert built == b"\0\0\0\x1c\0\3\0\0user\0ann\0database\0\0\0"


@given(st.dictionaries(names, words), st.integers(0, 0xFFFF))
def test_a_startup_message_is_read_back(parameters: dict[bytes, bytes], minor: int) -> None:
    version = packets.V3_0 + minor
    packet = packets.startup_message(parameters, version)
    assert packets.read_startup(packet) == StartupMessage(version, parameters)
    assert packets.read_packet_size(packet) == len(packet)


@given(st.integers(-(2**31), 2**31 - 1), st.binary(min_size=4, max_size=256))
def test_a_cancel_request_is_read_back(pid: int, secret: bytes) -> None:
    packet = packets.cancel_request(pid, secret)
    assert packets.read_startup(packet) == CancelRequest(pid, secret)


def test_encryption_requests_are_told_apart() -> None:
    assert packets.SSL_REQUEST == b"\0\0\0\x08\x04\xd2\x16\x2f"
    assert packets.read_startup(packets.SSL_REQUEST) is EncryptionRequest.SSL
    assert packets.read_startup(packets.GSSENC_REQUEST) is EncryptionRequest.GSSENC


def test_the_last_of_two_values_holds() -> None:
    packet = packets.startup_message({b"a": b"1", b"b": b"2"}).replace(b"b\0", b"a\0")
    assert packets.read_startup(packet) == StartupMessage(packets.V3_0, {b"a": b"2"})


def test_another_major_version_is_read_no_further_than_its_number() -> None:
    assert packets.read_startup(b"\0\0\0\x0a\0\2\0\0xy") == StartupMessage(0x0002_0000, {})


@pytest.mark.parametrize("size", [0, 7, -1, packets.MAX_PACKET + 1, 2**31 - 1])
def test_a_packet_of_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid length of startup packet"):
        packets.read_packet_size(size.to_bytes(4, "big", signed=True))


@pytest.mark.parametrize("secret", [b"", b"abc", bytes(257)])
def test_a_cancel_key_of_an_impossible_size_is_refused(secret: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid length of cancel request packet"):
        packets.read_startup(packets.cancel_request(1, secret))


@pytest.mark.parametrize("body", [b"", b"user\0ann\0", b"user\0\0", b"user\0ann\0\0x", b"\0\0"])
def test_parameters_without_their_end_are_refused(body: bytes) -> None:
    packet = (8 + len(body)).to_bytes(4, "big") + b"\0\3\0\0" + body
    with pytest.raises(RemoteProtocolError, match="expected terminator as last byte"):
        packets.read_startup(packet)


@given(st.sampled_from([b"\0\3\0\0", b"\x04\xd2\x16\x2e", b""]), st.binary(max_size=40))
def test_garbage_raises_nothing_but_remote_protocol_error(kind: bytes, body: bytes) -> None:
    try:
        packets.read_startup((8 + len(body)).to_bytes(4, "big") + kind + body)
    except RemoteProtocolError:
        return
