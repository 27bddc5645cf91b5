"""A snapshot shows what was over when it was taken, whatever the numbers have come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres.visibility import Snapshot

WRAP = 1 << 32


def test_what_is_over_is_shown() -> None:
    snapshot = Snapshot("100:110:100,105")
    shown = {xid for xid in range(90, 120) if snapshot.shows(xid)}
    assert shown == {*range(90, 110)} - {100, 105}
    assert snapshot.running == {100, 105}
    assert Snapshot("7:7:").shows(6)
    assert not Snapshot("7:7:").shows(7)


@given(st.integers(1 << 20, 1 << 40), st.integers(0, 1000), st.integers(-2000, 2000))
def test_numbers_may_have_come_round(xmin: int, width: int, off: int) -> None:
    snapshot = Snapshot(f"{xmin}:{xmin + width}:{xmin}" if width else f"{xmin}:{xmin}:")
    xid = xmin + off
    is_over = off < 0 or 0 < off < width
    assert snapshot.shows(xid % WRAP) == is_over


@pytest.mark.parametrize("text", ["", "1", "1:", "a:b:c", "1:2:3,", "1:2:x", "-1:2:"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Snapshot(text)
