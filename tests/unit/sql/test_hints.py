"""What comments ask of the proxy."""

from __future__ import annotations

import pytest

from proxy.settings.values import RouteTo
from proxy.sql.hints import read_hint
from proxy.types import Consistency


def test_a_hint_says_several_things() -> None:
    hint = read_hint(b"consistency=bounded max_staleness=500ms, route = replica cache='5s'")
    assert hint.misread == ""
    assert hint.consistency is Consistency.BOUNDED
    assert hint.max_staleness == 0.5
    assert hint.route is RouteTo.REPLICA
    assert hint.cache_max_age == 5.0
    assert not hint.never_cached


def test_the_same_text_is_read_once() -> None:
    assert read_hint(b"cache=never") is read_hint(b"cache=never")
    assert read_hint(b"cache=never").never_cached


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"consistency=boundless", "consistency=boundless"),
        (b"consistency=bounded max_staleness=soon", "max_staleness=soon"),
        (b"route=elsewhere", "route=elsewhere"),
        (b"cache=-5s", "cache=-5s"),
        (b"please", "please"),
        (b"cache=never cache=5s", "cache=5s"),
        (b"consistency=eventual quick", "quick"),
        (b"\xff=1", "\ufffd=1"),
        (b"colour=" + b"x" * 300, "colour=" + "x" * 13),
    ],
)
def test_a_hint_is_understood_whole_or_not_at_all(text: bytes, word: str) -> None:
    hint = read_hint(text)
    assert hint.misread == word
    assert hint.consistency is None
    assert hint.max_staleness is None
