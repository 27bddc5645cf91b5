"""Records between members of one host, however they are cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime.bus.socket_wire import (
    ID_BYTES,
    LONGEST_RECORD,
    Hearer,
    Kind,
    NotOurs,
    Record,
    hello,
    record,
)

ME = "0123456789abcdef"
assert len(ME) == ID_BYTES
RECORDS = st.builds(Record, st.sampled_from(list(Kind)), st.text(max_size=9), st.binary())


@given(st.lists(RECORDS, max_size=5), st.data())
def test_what_is_said_is_heard_however_it_is_cut(
    records: list[Record], data: st.DataObject
) -> None:
    stream = hello(ME) + b"".join(record(Kind(kind), *rest) for kind, *rest in records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    hearer, heard = Hearer(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += hearer.feed(stream[start:stop])
    assert hearer.identity == ME
    assert heard == records


@given(st.binary(min_size=40))
def test_noise_is_refused_or_waited_on(noise: bytes) -> None:
    with pytest.raises(NotOurs):
        Hearer().feed(b"x" + noise)
    with suppress(NotOurs):
        Hearer().feed(hello(ME) + noise)


@pytest.mark.parametrize("size", [0, 2, LONGEST_RECORD + 1])
def test_sizes_that_no_record_has_are_refused(size: int) -> None:
    hearer = Hearer()
    with pytest.raises(NotOurs):
        hearer.feed(hello(ME) + size.to_bytes(4, "big") + bytes(3))
