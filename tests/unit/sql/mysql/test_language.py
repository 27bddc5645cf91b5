"""The one seam by which statements are read, whatever their language."""

from __future__ import annotations

from proxy.routing.reading import UNREADABLE, Reader
from proxy.sql.digest import digest, shown
from proxy.sql.hints import read_hint
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql.scanner import ANSI_QUOTES, NO_BACKSLASH_ESCAPES
from proxy.sql.statement import Kind
from proxy.types import Consistency


def test_a_reader_reads_the_language_it_is_given() -> None:
    reader = Reader(language=MySQLLanguage())
    assert reader.read(b"SHOW TABLES").statements[0].kind is Kind.SHOW
    assert reader.read(b'SELECT "a"').statements[0].kind is Kind.READ
    assert reader.read(b"SELECT 'a") is UNREADABLE


def test_the_default_is_postgres() -> None:
    assert Reader().read(b"SELECT $1::int").statements[0].kind is Kind.READ
    assert Reader().read(b"DO $$ BEGIN END $$").statements[0].kind is Kind.CALL


def test_several_statements_are_read_one_by_one() -> None:
    reading = Reader(language=MySQLLanguage()).read(b"SELECT 1; /*!40101 DELETE FROM t */;")
    assert [statement.kind for statement in reading.statements] == [Kind.READ, Kind.WRITE]
    assert reading.texts == (b"SELECT 1", b"/*!40101 DELETE FROM t */")


def test_statements_are_kept_whatever_the_values() -> None:
    reader = Reader(language=MySQLLanguage())
    first = reader.read(b"SELECT * FROM t WHERE a = 1").statements[0]
    assert reader.read(b"select * from t  where a = 0x1F").statements[0] is first


def test_a_text_is_read_by_its_sessions_modes() -> None:
    reader = Reader(language=MySQLLanguage())
    text = b'SELECT "T".a FROM "T"; SELECT "T"'
    first, second = reader.read(text, ANSI_QUOTES).statements
    assert {name.name for name in first.reads} == {"T"}
    assert second.kind is Kind.READ
    plain, other = reader.read(text).statements
    assert plain.kind is Kind.OPAQUE
    assert other is not second
    assert reader.read(b"SELECT 'a\\' FROM t", NO_BACKSLASH_ESCAPES).statements[0].reads
    assert reader.read(b"SELECT 'a\\' FROM t") is UNREADABLE


def test_nothing_a_literal_says_depends_on_the_clock() -> None:
    assert not Reader(language=MySQLLanguage()).read(b"SELECT 'now'").clock


def test_a_hint_is_found_and_read() -> None:
    reading = Reader(language=MySQLLanguage()).read(b"/* tidegate: consistency=bounded */ SELECT 1")
    assert read_hint(reading.hint).consistency is Consistency.BOUNDED


def test_a_digest_does_not_tell_literals_from_parameters() -> None:
    scan = MySQLLanguage().scan
    mine = scan(b"SELECT `a` FROM d.T WHERE b = ?").fingerprint
    assert digest(mine) == digest(scan(b"SELECT `a` FROM d.T WHERE b = 'x'").fingerprint)
    assert shown(mine) == "select `a` from d.T where b = ?"
