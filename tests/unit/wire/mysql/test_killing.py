"""KILL and CONNECTION_ID() by the numbers that clients are told."""

from __future__ import annotations

import pytest

from proxy.wire.mysql.killing import Kill, is_kill, read_kill, with_id


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"SELECT CONNECTION_ID()", b"SELECT 5 AS `CONNECTION_ID()`"),
        (b"select connection_id () as id;", b"SELECT 5 AS id"),
        (b"SELECT CONNECTION_ID() `my id`", b"SELECT 5 AS `my id`"),
        (b"\t\v Select Connection_Id()", b"SELECT 5 AS `Connection_Id()`"),
        (b"", b""),
        (b"UPDATE t SET a = CONNECTION_ID()", b"UPDATE t SET a = CONNECTION_ID()"),
        (b"SELECT CONNECTION_ID() + 1", b"SELECT CONNECTION_ID() + 1"),
        (b"SELECT 'CONNECTION_ID()'", b"SELECT 'CONNECTION_ID()'"),
    ],
)
def test_id_is_the_one_that_the_client_was_told(text: bytes, said: bytes) -> None:
    assert with_id(text, 5) == said
