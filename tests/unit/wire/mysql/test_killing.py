"""KILL by the numbers that clients are told."""

from __future__ import annotations

import pytest

from proxy.wire.mysql.killing import Kill, is_kill, read_kill


@pytest.mark.parametrize(
    ("text", "kill"),
    [
        (b"KILL 7", Kill(7, False)),
        (b" kill connection 8 ;", Kill(8, False)),
        (b"KILL QUERY 9", Kill(9, True)),
        (b"KILL HARD QUERY 9", Kill(9, True)),
        (b"KILL USER 'bob'", None),
        (b"KILL QUERY ID 5", None),
        (b"KILL 1 + 1", None),
        (b"KILL @a", None),
    ],
)
def test_kill_is_read_by_a_number_only(text: bytes, kill: Kill | None) -> None:
    assert is_kill(text)
    assert read_kill(text) == kill


@pytest.mark.parametrize(
    "text", [b"/* a */ KILL 1", b"# a\nkill 1", b"-- a\n\tKill query 1", b"\v\fkill 1"]
)
def test_kill_is_known_behind_comments(text: bytes) -> None:
    assert is_kill(text)


@pytest.mark.parametrize("text", [b"SELECT 'kill 1'", b"killing", b"", b"/* kill 1 */ SELECT 1"])
def test_what_is_no_kill(text: bytes) -> None:
    assert not is_kill(text)
