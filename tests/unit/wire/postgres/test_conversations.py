"""Conversations recorded with PostgreSQL 15, replayed: whole, byte by byte, cut at every offset.

Each is two files of raw bytes: what the client said behind its startup packet, and all that the
server said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.auth_messages import AUTHENTICATION_OK
from proxy.wire.postgres.framer import Framer, Splitter, watch

FOLDER = Path(__file__).parent / "conversations"
NAMES = sorted({file.stem for file in FOLDER.iterdir()})
EVERYTHING = watch(bytes(range(256)))
MATTERING = watch(b"ZECSGWANKT")


def said_by(side: str, name: str) -> bytes:
    return (FOLDER / f"{name}.{side}").read_bytes()


def messages_in(stream: bytes) -> Iterator[bytes]:
    """Cut a stream into messages, the slow and obvious way."""
    while stream:
        size = 1 + int.from_bytes(stream[1:5], "big")
        yield stream[:size]
        stream = stream[size:]


def pieces(stream: bytes, *cuts: int) -> list[bytes]:
    return [stream[start:stop] for start, stop in pairwise([0, *cuts, len(stream)])]


def framed(parts: list[bytes], watched: bytes) -> tuple[bytes, list[bytes]]:
    framer = Framer(watched)
    passed, found = [], []
    for part in parts:
        passed.append(framer.feed(part))
        found += [passed[-1][start:stop] for _, start, stop in framer.found]
    assert framer.at_boundary
    return b"".join(passed), found


def split(parts: list[bytes]) -> list[bytes]:
    splitter = Splitter(20_000)
    return [message for part in parts for _, message in splitter.feed(part)]


def without_copy_data(messages: list[bytes]) -> list[bytes]:
    """How rows to be copied are put together depends on how they came."""
    return [message for message in messages if message[0] != tags.COPY_DATA]


@pytest.mark.parametrize("watched", [EVERYTHING, MATTERING], ids=["everything", "some"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_server_said_is_found_however_it_is_cut(name: str, watched: bytes) -> None:
    stream = said_by("server", name)
    expected = [message for message in messages_in(stream) if watched[message[0]]]
    assert framed([stream], watched) == (stream, expected)
    assert framed(pieces(stream, *range(1, len(stream))), watched) == (stream, expected)
    for at in range(len(stream) + 1):
        assert framed(pieces(stream, at), watched) == (stream, expected)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_client_said_is_split_however_it_is_cut(name: str) -> None:
    stream = said_by("client", name)
    expected = without_copy_data(list(messages_in(stream)))
    cuts = [pieces(stream), pieces(stream, *range(1, len(stream)))]
    cuts += [pieces(stream, at) for at in range(len(stream) + 1)]
    for parts in cuts:
        got = split(parts)
        assert without_copy_data(got) == expected
        assert b"".join(got) == stream


def remake_bind(message: bytes) -> bytes:
    read = frontend.read_bind(message)
    return frontend.bind(
        read.portal,
        read.statement,
        read.parameters,
        parameter_formats=read.parameter_formats,
        result_formats=read.result_formats,
    )


def remake_ready(message: bytes) -> bytes:
    known = (backend.READY_IDLE, backend.READY_TRANSACTION, backend.READY_FAILED)
    return {backend.read_ready_status(one): one for one in known}[
        backend.read_ready_status(message)
    ]


def remake_error(message: bytes) -> bytes:
    fields = backend.read_error(message)
    build = {ord("E"): backend.error_response, ord("N"): backend.notice_response}[message[0]]
    return build(fields.pop(b"S"), fields.pop(b"C"), fields.pop(b"M"), fields)


def remake_copy(message: bytes) -> bytes:
    return backend.copy_response(message[0], *backend.read_copy_response(message))


Remake = Callable[[bytes], bytes]

FROM_CLIENT: dict[int, Remake] = {
    tags.BIND: remake_bind,
    tags.CLOSE: lambda one: frontend.close(*frontend.read_close(one)),
    tags.COPY_DATA: lambda one: frontend.copy_data(one[5:]),
    tags.COPY_DONE: lambda one: frontend.COPY_DONE,
    tags.COPY_FAIL: lambda one: frontend.copy_fail(frontend.read_copy_fail(one)),
    tags.DESCRIBE: lambda one: frontend.describe(*frontend.read_describe(one)),
    tags.EXECUTE: lambda one: frontend.execute(*frontend.read_execute(one)),
    tags.FLUSH: lambda one: frontend.FLUSH,
    tags.PARSE: lambda one: frontend.parse(*frontend.read_parse(one)),
    tags.QUERY: lambda one: frontend.query(frontend.read_query(one)),
    tags.SYNC: lambda one: frontend.SYNC,
    tags.TERMINATE: lambda one: frontend.TERMINATE,
}

FROM_SERVER: dict[int, Remake] = {
    tags.AUTHENTICATION: lambda one: AUTHENTICATION_OK,
    tags.BACKEND_KEY_DATA: lambda one: backend.backend_key_data(
        *backend.read_backend_key_data(one)
    ),
    tags.BIND_COMPLETE: lambda one: backend.BIND_COMPLETE,
    tags.CLOSE_COMPLETE: lambda one: backend.CLOSE_COMPLETE,
    tags.COMMAND_COMPLETE: lambda one: backend.command_complete(backend.read_command_tag(one)),
    tags.COPY_DATA: lambda one: frontend.copy_data(one[5:]),
    tags.COPY_DONE: lambda one: backend.COPY_DONE,
    tags.COPY_IN_RESPONSE: remake_copy,
    tags.COPY_OUT_RESPONSE: remake_copy,
    tags.DATA_ROW: lambda one: backend.data_row(backend.read_data_row(one)),
    tags.EMPTY_QUERY_RESPONSE: lambda one: backend.EMPTY_QUERY_RESPONSE,
    tags.ERROR_RESPONSE: remake_error,
    tags.FUNCTION_CALL_RESPONSE: lambda one: backend.function_call_response(
        one[9:] if one[5:9] != b"\xff\xff\xff\xff" else None
    ),
    tags.NO_DATA: lambda one: backend.NO_DATA,
    tags.NOTICE_RESPONSE: remake_error,
    tags.NOTIFICATION_RESPONSE: lambda one: backend.notification_response(
        *backend.read_notification(one)
    ),
    tags.PARAMETER_DESCRIPTION: lambda one: backend.parameter_description(
        backend.read_parameter_description(one)
    ),
    tags.PARAMETER_STATUS: lambda one: backend.parameter_status(
        *backend.read_parameter_status(one)
    ),
    tags.PARSE_COMPLETE: lambda one: backend.PARSE_COMPLETE,
    tags.PORTAL_SUSPENDED: lambda one: backend.PORTAL_SUSPENDED,
    tags.READY_FOR_QUERY: remake_ready,
    tags.ROW_DESCRIPTION: lambda one: backend.row_description(backend.read_row_description(one)),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_message_recorded_is_built_again_from_what_was_read(name: str) -> None:
    for message in messages_in(said_by("client", name)):
        if message[0] != tags.FUNCTION_CALL:  # passed on, never read in full
            assert FROM_CLIENT[message[0]](message) == message
    for message in messages_in(said_by("server", name)):
        assert FROM_SERVER[message[0]](message) == message


def test_the_recordings_hold_a_message_of_nearly_every_kind() -> None:
    client = {one[0] for name in NAMES for one in messages_in(said_by("client", name))}
    server = {one[0] for name in NAMES for one in messages_in(said_by("server", name))}
    assert tags.FROM_CLIENT - client == {tags.PASSWORD}
    missing = {tags.COPY_BOTH_RESPONSE, tags.NEGOTIATE_PROTOCOL_VERSION}
    assert tags.FROM_SERVER - server == missing
