"""KILL by the numbers that clients are told."""

from __future__ import annotations

import pytest

from proxy.wire.mysql.killing import Kill, is_kill, may_hold_kill, prepares_kill, read_kill


@pytest.mark.parametrize(
    ("text", "kill"),
    [
        (b"KILL 7", Kill(7, False)),
        (b" kill connection 8 ;", Kill(8, False)),
        (b"KILL QUERY 9", Kill(9, True)),
        (b"KILL HARD QUERY 9", Kill(9, True)),
        (b"/*! KILL 5 */", Kill(5, False)),
        (b" /*!40101KILL QUERY 5*/ ;", Kill(5, True)),
        (b"/*!50700 KILL 5 */", None),
        (b"/*!100100 KILL 5 */", None),
        (b"/*M! KILL 5 */", None),
        (b"/*! KILL */ 5", None),
        (b"/* a */ -- b\n KILL 5", Kill(5, False)),
        (b"/* a */ /*! KILL 5 */", None),
        (b"KILL 5 /* a */", None),
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
    "text",
    [
        *(b"/* a */ KILL 1", b"# a\nkill 1", b"-- a\n\tKill query 1", b"\v\fkill 1"),
        *(b"/*!999999 a */ KILL 1", b"/* a *//*!50000 kill 1*/", b"/*M!100100KILL*/ 1"),
        *(b"SET STATEMENT a=1 FOR KILL 5", b"set statement a='for', b=\"for\" for kill 5"),
        b"/*! SET STATEMENT a=1 FOR */ KILL 5",
    ],
)
def test_kill_is_known_behind_comments(text: bytes) -> None:
    assert is_kill(text)


@pytest.mark.parametrize(
    "text",
    [
        *(b"SELECT 'kill 1'", b"killing", b"", b"/* kill 1 */ SELECT 1", b"s", b"SET a = 1"),
        *(b"/*!50000 SELECT */ 1", b"SET STATEMENT a=1 FOR SELECT 1 FOR KILL"),
    ],
)
def test_what_is_no_kill(text: bytes) -> None:
    assert not is_kill(text)


def test_kill_is_found_where_it_is_prepared_in_sql() -> None:
    assert prepares_kill(b"PREPARE s FROM 'KILL 5'")
    assert prepares_kill(b'execute immediate"/*! kill 5 */"')
    assert not prepares_kill(b"PREPARE s FROM @a")
    assert not prepares_kill(b"PREPARE kill FROM 'SELECT 1'")


def test_kill_may_stand_in_what_is_not_understood() -> None:
    assert may_hold_kill(b"SELECT \x80 ; \n kill 5")
    assert not may_hold_kill(b"INSERT INTO t VALUES ('\x80 kill 5')")


@pytest.mark.parametrize(
    "piece", [b" ", b"/**/", b"/*! */", b"'", b"' ", b"/*", b"*/", b"-- a\n", b"for ", b";"]
)
def test_no_text_takes_long(piece: bytes) -> None:
    for start in (b"", b"KILL 5", b"/*! KILL 5 */", b"SET STATEMENT a = ", b"PREPARE s FROM '"):
        text = start + piece * 100_000 + b"x"
        is_kill(text)
        read_kill(text)
        prepares_kill(text)
        may_hold_kill(text)
