"""Reading what stands in bodies and views."""

from __future__ import annotations

import pytest

from proxy.sql.mysql.interpreter import ServerInterpreter
from proxy.sql.routines import Verdict
from proxy.sql.statement import Kind, RelationName


@pytest.fixture
def interpreter() -> ServerInterpreter:
    return ServerInterpreter()


def test_statements_are_classified_in_the_mode_they_were_written_in(
    interpreter: ServerInterpreter,
) -> None:
    text = b'SELECT "a" FROM "t"'
    read = interpreter.read(text, "STRICT_TRANS_TABLES,ANSI_QUOTES")
    assert read.kind is Kind.READ
    assert read.reads == {RelationName(None, "t")}
    assert interpreter.read(text, "").kind is Kind.OPAQUE


def test_a_backslash_is_one_where_the_mode_says_so(interpreter: ServerInterpreter) -> None:
    assert interpreter.read(rb"SELECT '\'", "NO_BACKSLASH_ESCAPES").kind is Kind.READ
    assert interpreter.read(rb"SELECT '\'", "").kind is Kind.OPAQUE


@pytest.mark.parametrize("text", [b"", b"SELECT 1; SELECT 2", b"nonsense"])
def test_what_is_no_statement_is_opaque(interpreter: ServerInterpreter, text: bytes) -> None:
    assert interpreter.read(text, "").kind is Kind.OPAQUE


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("concat", Verdict.DATA),
        ("now", Verdict.CLOCK),
        ("rand", Verdict.DICE),
        ("connection_id", Verdict.PRIMARY),
        ("get_lock", Verdict.PRIMARY),
        ("nextval", Verdict.PRIMARY),
    ],
)
def test_the_servers_own_functions_are_judged(
    interpreter: ServerInterpreter, name: str, verdict: Verdict
) -> None:
    judgement = interpreter.judge(name, 0)
    assert judgement is not None
    assert judgement.verdict is verdict


def test_other_functions_are_somebody_elses(interpreter: ServerInterpreter) -> None:
    assert interpreter.judge("my_own", 0) is None
