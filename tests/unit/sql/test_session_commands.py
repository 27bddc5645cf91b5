"""What a SET and its like say exactly, and when they are better not read at all."""

from __future__ import annotations

import pytest

from proxy.sql.session_commands import (
    Command,
    Deallocate,
    Discard,
    Execute,
    Prepare,
    Reset,
    Set,
    read_command,
    read_name_list,
)


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("SET work_mem TO '4MB'", Set("work_mem", "'4MB'")),
        ("set Work_Mem = 4096", Set("work_mem", "4096")),
        ("SET SESSION search_path = a, \"B\", 'c';", Set("search_path", "a, \"B\", 'c'")),
        ("SET LOCAL app.tenant = '7'", Set("app.tenant", "'7'", is_local=True)),
        ("SET x TO DEFAULT", Set("x", "DEFAULT")),
        ("SET TIME ZONE 'UTC'", Set("timezone", "'UTC'")),
        ("SET TIME ZONE LOCAL", Set("timezone", "DEFAULT")),
        ("SET NAMES 'latin1'", Set("client_encoding", "'latin1'")),
        ("SET ROLE bob", Set("role", "bob")),
        ('SET SESSION AUTHORIZATION "Bob"', Set("session_authorization", '"Bob"')),
        ("SET SCHEMA 'a'", Set("search_path", "'a'")),
        ('SET "Search_Path" TO a', Set("search_path", "a")),
        ('RESET "App"."Tenant"', Reset("app.tenant")),
        ("RESET work_mem", Reset("work_mem")),
        ("RESET ALL", Reset(None)),
        ("RESET SESSION AUTHORIZATION", Reset("session_authorization")),
        ("DISCARD TEMPORARY", Discard("temp")),
        ("DISCARD ALL", Discard("all")),
        ("EXECUTE p(1, 'x')", Execute("p")),
        ("DEALLOCATE PREPARE p", Deallocate("p")),
        ("DEALLOCATE ALL", Deallocate(None)),
        ("/* why */ SET x -- what\n TO 1", Set("x", "1")),
    ],
)
def test_reads_what_was_said(sql: str, command: Command) -> None:
    assert read_command(sql.encode()) == command


def test_keeps_a_prepared_statement_as_it_was_written() -> None:
    sql = "PREPARE p(int) AS SELECT $1 || 'x' -- so\n"
    command = read_command(sql.encode())
    assert isinstance(command, Prepare)
    assert command.name == "p"
    assert command.body.startswith("SELECT $1")


@pytest.mark.parametrize(
    "sql",
    [
        "SET x TO E'a\\'b'",
        "SET x TO $$a$$",
        "SET\u00a0x TO 1",
        "SET x",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET x TO 1; SET y TO 2",
        "RESET",
        "DISCARD EVERYTHING",
        "SELECT 1",
    ],
)
def test_does_not_read_what_it_is_not_sure_of(sql: str) -> None:
    assert read_command(sql.encode()) is None


def test_a_carriage_return_ends_a_comment() -> None:
    command = read_command(b"SET search_path TO a -- x\r, b")
    assert isinstance(command, Set)
    assert read_name_list(command.value) == ("a", "b")


def test_folds_as_the_server_does() -> None:
    assert read_command("SET ÄPFEL TO 1".encode()) == Set("Äpfel", "1")


def test_a_list_of_names_is_read_or_not_at_all() -> None:
    assert read_name_list("\"$user\", public, 'A b'") == ("$user", "public", "A b")
    assert read_name_list("a b") is None
    assert read_name_list("a,") is None
    assert read_name_list("") == ()
