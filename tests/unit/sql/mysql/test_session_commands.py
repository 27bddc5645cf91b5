"""What SET, USE, PREPARE and the like say exactly, and what transaction control says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sql.mysql.scanner import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, scan
from proxy.sql.mysql.session_commands import (
    Assignment,
    Command,
    Deallocate,
    Execute,
    Prepare,
    Scope,
    Set,
    SetRole,
    Use,
    read_command,
)
from proxy.sql.mysql.transaction_control import (
    Begin,
    End,
    read_begin,
    read_end,
    read_savepoint,
)

SESSION, GLOBAL, USER = Scope.SESSION, Scope.GLOBAL, Scope.USER


def form(sql: str) -> bytes:
    return scan(sql.encode()).fingerprint


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SET a = 1", [(SESSION, "a", "1")]),
        ("SET Time_Zone := '+00:00'", [(SESSION, "time_zone", "'+00:00'")]),
        ("SET SESSION a = ON, b = -5", [(SESSION, "a", "ON"), (SESSION, "b", "-5")]),
        ("SET LOCAL a = DEFAULT", [(SESSION, "a", "DEFAULT")]),
        ("SET @@a = 1", [(SESSION, "a", "1")]),
        ("SET @@session.a = 1", [(SESSION, "a", "1")]),
        ("SET @@GLOBAL.a = 1", [(GLOBAL, "a", "1")]),
        ("SET GLOBAL a = 1, b = 2", [(GLOBAL, "a", "1"), (GLOBAL, "b", "2")]),
        ("SET GLOBAL a = 1, @@b = 2", [(GLOBAL, "a", "1"), (SESSION, "b", "2")]),
        ("SET GLOBAL a=1, SESSION b=2", [(GLOBAL, "a", "1"), (SESSION, "b", "2")]),
        ("SET PERSIST a = 1", [(Scope.PERSIST, "a", "1")]),
        ("SET @A = 'x'", [(USER, "a", "'x'")]),
        ("SET @`b c` = f(1, 2)", [(USER, "b c", "f(1, 2)")]),
        ("SET a = (SELECT 1, 2)", [(SESSION, "a", "(SELECT 1, 2)")]),
        ("SET a = CONCAT(@@a, ',x')", [(SESSION, "a", "CONCAT(@@a, ',x')")]),
        ("SET a = @b", [(SESSION, "a", "@b")]),
        ("SET k.key_buffer_size = 1", [(SESSION, "k.key_buffer_size", "1")]),
        ("SET @@transaction_isolation = 'x'", [(Scope.NEXT, "transaction_isolation", "'x'")]),
        ("SET transaction_isolation = 'x'", [(SESSION, "transaction_isolation", "'x'")]),
        ("/*!40101 SET a = 1 */;", [(SESSION, "a", "1")]),
        (
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            [
                (SESSION, "character_set_client", "utf8mb4"),
                (SESSION, "character_set_results", "utf8mb4"),
                (SESSION, "character_set_connection", "utf8mb4"),
                (SESSION, "collation_connection", "utf8mb4_bin"),
            ],
        ),
        (
            "SET CHARSET 'utf8'",
            [
                (SESSION, "character_set_client", "'utf8'"),
                (SESSION, "character_set_results", "'utf8'"),
                (SESSION, "collation_connection", "@@collation_database"),
            ],
        ),
    ],
)
def test_assignments(sql: str, expected: list[tuple[Scope, str, str]]) -> None:
    assert read_command(sql.encode()) == Set(tuple(Assignment(*each) for each in expected))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("USE `My Db`", Use("My Db")),
        ("SET ROLE r1, r2", SetRole("r1, r2")),
        ("PREPARE S FROM 'SELECT ''a'', \\'b\\''", Prepare("s", "SELECT 'a', 'b'")),
        ("PREPARE s FROM @a", Prepare("s", None)),
        ("EXECUTE S USING @a", Execute("s")),
        ("DEALLOCATE PREPARE s", Deallocate("s")),
        ("DROP PREPARE s", Deallocate("s")),
    ],
)
def test_other_commands(sql: str, expected: Command) -> None:
    assert read_command(sql.encode()) == expected


@pytest.mark.parametrize(
    "sql",
    [
        *("SET", "SET a", "SET a =", "SET = 1", "SET TRANSACTION READ ONLY", "SET PASSWORD = 'x'"),
        *("SET STATEMENT a = 1 FOR SELECT 1", "SET SESSION TRANSACTION READ ONLY", "SET NAMES"),
        *("SET DEFAULT ROLE r TO u", "SET a = 'x", "SET a = x'41'", "SET a = 1; SET b = 2"),
        *("SET NAMES 'a' COLLATE", "SELECT 1", "EXECUTE IMMEDIATE 'x'", "DROP TABLE t", "USE"),
        *("SET a = /*!50701 1 */ 2", "PREPARE s FROM CONCAT('a')", "", "SET a = '\\"),
    ],
)
def test_what_is_not_read_exactly_is_not_read(sql: str) -> None:
    assert read_command(sql.encode()) is None


def test_modes_decide_what_a_string_is() -> None:
    assert read_command(b'PREPARE s FROM "x"') == Prepare("s", "x")
    assert read_command(b'PREPARE s FROM "x"', ANSI_QUOTES) is None
    assert read_command(b"PREPARE s FROM 'x\\n'", NO_BACKSLASH_ESCAPES) == Prepare("s", "x\\n")
    assert read_command(b"PREPARE s FROM 'x\\n'") == Prepare("s", "x\n")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("BEGIN", Begin()),
        ("BEGIN WORK", Begin()),
        ("START TRANSACTION", Begin()),
        ("START TRANSACTION READ ONLY", Begin(read_only=True)),
        ("START TRANSACTION READ WRITE", Begin(read_only=False)),
        (
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            Begin(read_only=True, consistent_snapshot=True),
        ),
        ("START TRANSACTION READ ONLY, READ WRITE", None),
        ("START TRANSACTION READ ONLY READ ONLY", Begin(read_only=True)),
        ("START SLAVE", None),
        ("BEGIN NOT ATOMIC SELECT 1; END", None),
    ],
)
def test_begin(sql: str, expected: Begin | None) -> None:
    assert read_begin(form(sql)) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("COMMIT", End(True)),
        ("COMMIT WORK AND CHAIN", End(True, chain=True)),
        ("ROLLBACK AND NO CHAIN RELEASE", End(False, chain=False, release=True)),
        ("ROLLBACK NO RELEASE", End(False, release=False)),
        ("COMMIT AND CHAIN RELEASE", None),
        ("ROLLBACK TO a", None),
    ],
)
def test_end(sql: str, expected: End | None) -> None:
    assert read_end(form(sql)) == expected


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SAVEPOINT A", "a"),
        ("RELEASE SAVEPOINT `a b`", "a b"),
        ("ROLLBACK TO a", "a"),
        ("ROLLBACK WORK TO SAVEPOINT a", "a"),
        ("ROLLBACK", None),
    ],
)
def test_savepoints_know_no_case(sql: str, name: str | None) -> None:
    assert read_savepoint(form(sql)) == name


_PARTS = st.sampled_from(
    [
        "SET ",
        "PREPARE ",
        "@",
        "@@",
        "a",
        "global ",
        "=",
        ":=",
        "'",
        "\\",
        "`",
        '"',
        "/*!",
        "*/",
        ",",
        ".",
    ]
)


@given(st.lists(_PARTS, max_size=10).map("".join), st.integers(0, 15))
def test_any_text_is_read_or_not(sql: str, modes: int) -> None:
    read_command(sql.encode(), modes)
    read_command(b"SET " + sql.encode() + b"=1", modes)
    for reader in (read_begin, read_end, read_savepoint):
        reader(sql.encode())
