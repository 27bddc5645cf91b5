"""No statement that PostgreSQL's grammar shows to write, lock or command is called a read."""

from __future__ import annotations

import pytest

from proxy.sql.classify import classify
from proxy.sql.scanner import MULTI, NOT_SURE, scan
from proxy.sql.statement import Kind, Statement
from tests.unit.sql import oracle
from tests.unit.sql.statements import CHANGES, NAMES, READS, TRICKY

OTHER_DIALECTS = ("anti", "asof", "glob", "pivot", "qualify", "regexp", "rlike", "semi", "xor")
KEYWORDS = (*oracle.keywords(), *OTHER_DIALECTS, "plain", '"Quoted"')


def check(sql: str) -> Statement | None:
    """Compare one text with the oracle; None where PostgreSQL refuses it."""
    found = scan(sql.encode())
    parts = oracle.split(sql)
    if parts is None:
        return None
    if not found.flags & NOT_SURE:
        assert len(found.statements) == len(parts), sql
        assert bool(found.flags & MULTI) == (len(parts) > 1), sql
    if len(parts) != 1:
        return None
    statement = classify(found.fingerprint)
    facts = oracle.facts(sql)
    assert facts is not None, sql
    assert not oracle.shortfalls(statement, facts), sql
    return statement


@pytest.mark.parametrize("sql", [*READS, *CHANGES, *TRICKY])
def test_no_statement_is_taken_for_less_than_it_is(sql: str) -> None:
    check(sql)


@pytest.mark.parametrize("template", NAMES)
def test_no_word_hides_what_a_statement_does(template: str) -> None:
    """Every keyword in every place of a name: where it is one, and where it is grammar."""
    for word in KEYWORDS:
        check(template.replace("@", word))


@pytest.mark.parametrize("sql", READS)
def test_applications_reads_are_reads(sql: str) -> None:
    statement = classify(scan(sql.encode()).fingerprint)
    assert statement.kind is Kind.READ, statement.detail


@pytest.mark.parametrize("sql", CHANGES)
def test_changes_are_understood(sql: str) -> None:
    statement = classify(scan(sql.encode()).fingerprint)
    assert statement.kind is not Kind.OPAQUE, statement.detail
    assert statement.kind is not Kind.READ
