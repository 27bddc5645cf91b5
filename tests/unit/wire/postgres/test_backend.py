"""A server's messages: what is built is read back; what is malformed is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import message
from proxy.wire.status import IDLE, IN_FAILED, IN_TRANSACTION

names = st.binary(max_size=20).map(lambda name: name.replace(b"\0", b""))
words = names.filter(bool)
oids = st.lists(st.integers(0, 2**32 - 1), max_size=5)
values = st.lists(st.none() | st.binary(max_size=10), max_size=5)
int16 = st.integers(-(2**15), 2**15 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
uint32 = st.integers(0, 2**32 - 1)
columns = st.lists(
    st.builds(backend.Column, names, uint32, int16, uint32, int16, int32, int16), max_size=4
)


def test_an_error_is_as_the_manual_has_it() -> None:
    built = backend.error_response(b"ERROR", b"42601", b"no", {backend.HINT: b"try"})
    body = b"SERROR\0VERROR\0C42601\0Mno\0Htry\0\0"
    assert built == b"E" + (len(body) + 4).to_bytes(4, "big") + body


def test_ready_says_the_state_of_the_transaction() -> None:
    assert backend.READY_IDLE == b"Z\0\0\0\5I"
    assert backend.read_ready_status(backend.READY_IDLE) == IDLE
    assert backend.read_ready_status(backend.READY_TRANSACTION) == IN_TRANSACTION
    assert backend.read_ready_status(backend.READY_FAILED) == IN_FAILED


@given(words, words, words, st.dictionaries(st.sampled_from([b"D", b"H", b"W"]), words))
def test_errors_and_notices_are_read_back(
    severity: bytes, sqlstate: bytes, text: bytes, more: dict[bytes, bytes]
) -> None:
    expected = {b"S": severity, b"V": severity, b"C": sqlstate, b"M": text, **more}
    error = backend.error_response(severity, sqlstate, text, more)
    notice = backend.notice_response(severity, sqlstate, text, more)
    assert backend.read_error(error) == expected
    assert backend.read_error(notice) == expected
    assert (error[0], notice[0]) == (tags.ERROR_RESPONSE, tags.NOTICE_RESPONSE)


def test_an_empty_field_of_an_error_is_left_out() -> None:
    built = backend.error_response(b"ERROR", b"XX000", b"no", {backend.DETAIL: b""})
    assert backend.DETAIL not in backend.read_error(built)


@given(columns)
def test_row_description_is_read_back(described: list[backend.Column]) -> None:
    assert backend.read_row_description(backend.row_description(described)) == described


@given(values)
def test_data_row_is_read_back(row: list[bytes | None]) -> None:
    assert backend.read_data_row(backend.data_row(row)) == row


@given(oids)
def test_parameter_description_is_read_back(types: list[int]) -> None:
    built = backend.parameter_description(types)
    assert backend.read_parameter_description(built) == tuple(types)


@given(names, names)
def test_command_tag_and_parameter_status_are_read_back(name: bytes, value: bytes) -> None:
    assert backend.read_command_tag(backend.command_complete(name)) == name
    assert backend.read_parameter_status(backend.parameter_status(name, value)) == (name, value)


@given(int32, st.binary(min_size=4, max_size=256))
def test_backend_key_data_is_read_back(pid: int, secret: bytes) -> None:
    assert backend.read_backend_key_data(backend.backend_key_data(pid, secret)) == (pid, secret)


@given(uint32.filter(lambda number: number < 2**31), st.lists(words, max_size=3))
def test_negotiate_protocol_version_is_read_back(version: int, options: list[bytes]) -> None:
    built = backend.negotiate_protocol_version(version, options)
    assert backend.read_negotiate_protocol_version(built) == (version, options)


@given(int32, names, names)
def test_notification_is_read_back(pid: int, channel: bytes, payload: bytes) -> None:
    built = backend.notification_response(pid, channel, payload)
    assert backend.read_notification(built) == (pid, channel, payload)


@given(st.sampled_from(b"GHW"), st.integers(0, 1), st.lists(int16, max_size=4))
def test_copy_response_is_read_back(tag: int, overall: int, formats: list[int]) -> None:
    built = backend.copy_response(tag, overall, formats)
    assert built[0] == tag
    assert backend.read_copy_response(built) == (overall, tuple(formats))


def test_function_call_response_tells_null_from_empty() -> None:
    assert backend.function_call_response(None) == b"V\0\0\0\x08\xff\xff\xff\xff"
    assert backend.function_call_response(b"") == b"V\0\0\0\x08\0\0\0\0"


@pytest.mark.parametrize(
    ("read", "sent"),
    [
        (backend.read_error, message(tags.ERROR_RESPONSE, b"SERROR\0")),
        (backend.read_error, message(tags.ERROR_RESPONSE, b"SERROR\0\0x")),
        (backend.read_ready_status, message(tags.READY_FOR_QUERY)),
        (backend.read_ready_status, message(tags.READY_FOR_QUERY, b"x")),
        (backend.read_backend_key_data, message(tags.BACKEND_KEY_DATA, b"\0\0\0\1abc")),
        (backend.read_backend_key_data, message(tags.BACKEND_KEY_DATA, bytes(4 + 257))),
        (backend.read_row_description, backend.row_description([backend.Column(b"a")])[:-1]),
        (backend.read_data_row, backend.data_row([b"a"]) + b"x"),
        (
            backend.read_negotiate_protocol_version,
            message(tags.NEGOTIATE_PROTOCOL_VERSION, b"\0\3\0\0\0\0\0\2one\0"),
        ),
    ],
)
def test_a_malformed_message_is_refused(read: Callable[[bytes], object], sent: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(sent)


READERS: list[Callable[[bytes], object]] = [
    backend.read_error,
    backend.read_parameter_status,
    backend.read_backend_key_data,
    backend.read_command_tag,
    backend.read_ready_status,
    backend.read_row_description,
    backend.read_data_row,
    backend.read_parameter_description,
    backend.read_notification,
    backend.read_copy_response,
    backend.read_negotiate_protocol_version,
]


@given(st.sampled_from(READERS), st.binary(max_size=40) | st.binary(max_size=6))
def test_garbage_raises_nothing_but_remote_protocol_error(
    read: Callable[[bytes], object], body: bytes
) -> None:
    try:
        read(message(tags.ERROR_RESPONSE, body))
    except RemoteProtocolError:
        return
