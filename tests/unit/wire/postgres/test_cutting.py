"""What a client wants answered before it reads on, found however its bytes come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MessageTooLarge, RemoteProtocolError
from proxy.wire.postgres import frontend
from proxy.wire.postgres.cutting import BATCH, GATHERED, LARGEST_PARSE, Cutter
from proxy.wire.postgres.requests import Request
from proxy.wire.requests import End

SYNC, FLUSH = frontend.SYNC, frontend.FLUSH
EXECUTE = frontend.execute(b"")
QUERY = frontend.query(b"SELECT 1")
PARSE = frontend.parse(b"", b"SELECT a", (23,))
BIND = frontend.bind(b"", b"", [b"1"])
BATCHES = PARSE + BIND + EXECUTE + SYNC + QUERY + frontend.parse(b"s", b"SELECT b") + FLUSH + SYNC


@pytest.fixture
def cutter() -> Cutter:
    return Cutter()


def one(cutter: Cutter, data: bytes) -> Request:
    (request,) = cutter.feed(data)
    return request


def messages(request: Request) -> bytes:
    return b"".join(message for _, message in request.messages)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def test_requests_are_found_however_they_come() -> None:
    expected = [
        (End.READY, PARSE + BIND + EXECUTE + SYNC),
        (End.READY, QUERY),
        (End.OPEN, frontend.parse(b"s", b"SELECT b") + FLUSH),
        (End.READY, SYNC),
    ]
    for chunks in cuts(BATCHES):
        cutter = Cutter()
        found = [request for chunk in chunks for request in cutter.feed(chunk)]
        assert [(request.end, messages(request)) for request in found] == expected
        assert cutter.is_between


def test_a_request_in_one_chunk_keeps_it(cutter: Cutter) -> None:
    data = PARSE + BIND + EXECUTE + SYNC
    assert one(cutter, data).chunk == data
    assert one(cutter, QUERY).chunk == QUERY
    assert [request.chunk for request in cutter.feed(QUERY + QUERY)] == [None, None]


def test_bytes_that_are_no_one_request_are_not_kept_as_one(cutter: Cutter) -> None:
    """A chunk of the same length could be the end of one message and the beginning of another."""
    assert cutter.feed(QUERY[:-1]) == []
    (request,) = cutter.feed(QUERY[-1:] + QUERY[:-1])
    assert request.chunk is None


# Batches that don't end with a Sync.


def test_a_flush_is_never_swallowed(cutter: Cutter) -> None:
    assert one(cutter, FLUSH).end is End.OPEN


def test_a_query_in_a_batch_belongs_to_it(cutter: Cutter) -> None:
    assert one(cutter, PARSE + BIND + EXECUTE + QUERY).end is End.READY


def test_copy_data_is_a_request_of_its_own(cutter: Cutter) -> None:
    row, done = frontend.copy_data(b"1\n"), frontend.COPY_DONE
    ends = [request.end for request in cutter.feed(row + row + done + frontend.copy_fail(b"x"))]
    assert ends == [End.COPY, End.COPY_END, End.COPY_END]
    assert one(cutter, frontend.TERMINATE).end is End.TERMINATE


def test_a_long_batch_goes_on_in_parts(cutter: Cutter) -> None:
    row = BIND + EXECUTE
    sent = b""
    ends = []
    for _ in range(2 * BATCH // len(row) // 100):
        for request in cutter.feed(row * 100):
            sent += messages(request)
            ends.append(request.end)
    request = one(cutter, SYNC)
    sent += messages(request)
    assert set(ends) == {End.OPEN}
    assert request.end is End.READY
    assert len(sent) == len(row) * 100 * (2 * BATCH // len(row) // 100) + len(SYNC)


# Large messages.


def large(cutter: Cutter, data: bytes, *, step: int = 200_000) -> tuple[bytes, list[Request]]:
    """Feed a message as it comes, and pass it on as a session does."""
    passed: list[bytes] = []
    requests: list[Request] = []

    def take(found: list[Request]) -> None:
        for request in found:
            requests.append(request)
            passed.append(messages(request))

    for start in range(0, len(data), step):
        found = cutter.feed(data[start : start + step])
        take(found)
        while cutter.is_streaming and (piece := cutter.take()):
            passed.append(piece)
            if not cutter.is_streaming:
                take(cutter.feed(b""))
    return b"".join(passed), requests


@pytest.mark.parametrize("size", [GATHERED, GATHERED + 1, GATHERED + 150_000, 3 * GATHERED])
@pytest.mark.parametrize("kind", ["query", "bind", "copy", "call"])
def test_a_large_message_passes_through(cutter: Cutter, kind: str, size: int) -> None:
    body = b"x" * size
    data = {
        "query": frontend.query(body),
        "bind": frontend.bind(b"", b"", [body]),
        "copy": frontend.copy_data(body),
        "call": frontend.function_call(1, [body]),
    }[kind]
    passed, requests = large(cutter, data + QUERY)
    assert passed == data + QUERY
    assert messages(requests[-1]) == QUERY
    assert requests[0].is_cut
    assert cutter.is_between


def test_a_large_parse_is_gathered(cutter: Cutter) -> None:
    text = b"SELECT '" + b"x" * 2 * GATHERED + b"'"
    data = frontend.parse(b"s", text) + frontend.bind(b"", b"s") + EXECUTE + SYNC
    passed, requests = large(cutter, data)
    assert passed == data
    assert [request.is_cut for request in requests] == [False]


def test_a_parse_has_a_limit(cutter: Cutter) -> None:
    header = b"P" + (LARGEST_PARSE + 10).to_bytes(4, "big")
    with pytest.raises(MessageTooLarge):
        cutter.feed(header + b"s\0" + bytes(GATHERED))


def test_a_message_that_may_not_be_large_is_refused(cutter: Cutter) -> None:
    with pytest.raises(MessageTooLarge):
        cutter.feed(b"S" + (20_000).to_bytes(4, "big"))


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_garbage_raises_nothing_else(chunks: list[bytes]) -> None:
    cutter = Cutter()
    try:
        for chunk in chunks:
            cutter.feed(chunk)
    except RemoteProtocolError:
        return
