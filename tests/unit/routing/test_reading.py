"""Texts in, statements out: each text is scanned once, each fingerprint classified once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing.reading import MOST_STATEMENTS, TOO_LONG, UNREAD, Reader
from proxy.sql.scanner import MOST_TOKENS
from proxy.sql.statement import Kind


@pytest.fixture
def reader() -> Reader:
    return Reader()


def kinds(reader: Reader, sql: bytes) -> list[Kind]:
    return [statement.kind for statement in reader.read(sql).statements]


def test_one_statement(reader: Reader) -> None:
    found = reader.read(b"SELECT a FROM orders WHERE b = 1")
    assert [statement.kind for statement in found.statements] == [Kind.READ]
    assert found.texts == (b"SELECT a FROM orders WHERE b = 1",)
    assert not found.clock


def test_literals_make_no_other_statement(reader: Reader) -> None:
    one = reader.read(b"SELECT a FROM orders WHERE b = 1")
    other = reader.read(b"select a from orders where b = 2")
    assert one.statements[0] is other.statements[0]
    assert len(reader) == 1


def test_several_statements_keep_their_order_and_their_texts(reader: Reader) -> None:
    found = reader.read(b"BEGIN; UPDATE t SET a = ';' ;; COMMIT ;")
    assert [s.kind for s in found.statements] == [Kind.BEGIN, Kind.WRITE, Kind.COMMIT]
    assert found.texts == (b"BEGIN", b"UPDATE t SET a = ';'", b"COMMIT")


@pytest.mark.parametrize("sql", [b"", b"  ", b";", b"-- ping", b";;/* x */"])
def test_nothing_is_one_empty_statement(reader: Reader, sql: bytes) -> None:
    assert kinds(reader, sql) == [Kind.EMPTY]
    assert len(reader.read(sql).texts) == 1


def test_what_is_not_certain_is_unread(reader: Reader) -> None:
    found = reader.read(b"SELECT 'never closed")
    assert found.statements == (UNREAD,)
    assert found.clock


def test_one_uncertain_part_makes_the_whole_unread(reader: Reader) -> None:
    assert reader.read(b"SELECT 1; SELECT 'x").statements == (UNREAD,)


def test_one_part_that_is_no_sql_is_opaque(reader: Reader) -> None:
    assert kinds(reader, b"SELECT 1; nonsense; SELECT 2") == [Kind.READ, Kind.OPAQUE, Kind.READ]


def test_a_word_that_depends_on_the_clock_is_noted(reader: Reader) -> None:
    assert reader.read(b"SELECT a FROM orders WHERE d = 'today'").clock
    assert reader.read(b"SELECT 1; SELECT a FROM orders WHERE d = 'now'").clock


def test_a_comment_for_the_proxy_is_kept(reader: Reader) -> None:
    found = reader.read(b"/* tidegate: consistency=bounded */ SELECT 1")
    assert found.hint == b"consistency=bounded"


def test_what_is_too_long_is_opaque_and_not_remembered(reader: Reader) -> None:
    for text in (
        b"SELECT " + b", ".join(b"a%d" % number for number in range(10_000)),
        b"SELECT 1 " + b"/**/" * MOST_TOKENS,
        b"SELECT 1;" * (MOST_STATEMENTS + 1),
    ):
        found = reader.read(text)
        assert found.statements == (TOO_LONG,)
        assert not len(reader)
    assert len(reader.read(b"SELECT 1;" * MOST_STATEMENTS).statements) == MOST_STATEMENTS


def test_the_least_recently_read_is_forgotten() -> None:
    reader = Reader(limit=2)
    first = reader.read(b"SELECT a FROM t").statements[0]
    second = reader.read(b"SELECT b FROM t").statements[0]
    assert reader.read(b"SELECT a FROM t").statements[0] is first
    reader.read(b"SELECT c FROM t")
    assert len(reader) == 2
    assert reader.read(b"SELECT a FROM t").statements[0] is first
    assert reader.read(b"SELECT b FROM t").statements[0] is not second


PIECES = st.sampled_from(
    ["SELECT 1", "BEGIN", ";", "'", "$$", "--", "\n", "/*", "*/", "(", ")", "DELETE FROM t", "\\"]
)


@given(st.one_of(st.binary(max_size=60), st.lists(PIECES).map(lambda p: "".join(p).encode())))
def test_no_text_raises(sql: bytes) -> None:
    found = Reader().read(sql)
    assert len(found.statements) == len(found.texts) >= 1
