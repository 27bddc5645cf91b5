r"""Scripts are cut as psql cuts them."""

from __future__ import annotations

import pytest

from tests.suites.regress.cutter import Script, spec_pieces


def texts(script: str) -> list[str]:
    return [piece.text for piece in Script(script).pieces()]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';'",
        r"SELECT E'\';'",
        'SELECT ";"',
        "SELECT 1 -- ;\n + 1",
        "SELECT /* ; /* ; */ ; */ 1",
        "SELECT $$;$$, $a$;$$;$a$",
        "SELECT a$b$c, $1",
        "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN b END; END",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END",
        "SELECT a[1:b], c::d, e := f",
        "BEGIN",
    ],
)
def test_a_semicolon_inside_of_something_ends_nothing(statement: str) -> None:
    assert texts(f"{statement};\nSELECT 2;") == [statement, "SELECT 2"]


def test_backslashes_are_escapes_where_strings_are_set_to_have_them() -> None:
    setting = "SET standard_conforming_strings TO"
    first, second, third = r"SELECT '\';'", r"SELECT U&'\'", r"SELECT '\'"
    script = f"{setting} off; {first}; {second}; {setting} on; {third}; SELECT 3;"
    assert texts(script) == [
        f"{setting} off",
        first,
        second,
        f"{setting} on",
        third,
        "SELECT 3",
    ]


def test_a_semicolon_that_is_forced_joins_statements() -> None:
    assert texts(r"SELECT 1\; SELECT 2\; SELECT 3;") == ["SELECT 1; SELECT 2; SELECT 3"]


def test_meta_commands_are_left_out_and_some_send() -> None:
    script = "\\pset null x\nSELECT 1 AS a \\gset p_\n\\d t\nSELECT 2\n\\echo ;\n\\g\n\\r\nSELECT 3"
    pieces = list(Script(script).pieces())
    assert [(piece.text, piece.then, piece.line) for piece in pieces] == [
        ("SELECT 1 AS a", "gset p_", 2),
        ("SELECT 2", "g", 4),
        ("SELECT 3", "", 8),
    ]


def test_a_buffer_that_is_reset_is_not_sent() -> None:
    assert texts("SELECT 1\n\\r\nSELECT 2;") == ["SELECT 2"]


def test_two_backslashes_end_a_meta_command() -> None:
    assert texts("\\echo a \\\\ SELECT 1;") == ["SELECT 1"]


def test_variables_are_replaced_as_they_are_quoted() -> None:
    script = (
        "\\getenv dir D\n\\set a 'it''s'\n\\set f :dir '/x'\nSELECT :a, :'a', :\"a\", :'f', :b;"
    )
    cut = Script(script, environment={"D": "/d"})
    (piece,) = cut.pieces()
    assert piece.text == "SELECT it's, 'it''s', \"it's\", '/d/x', :b"
    assert piece.unset == {"b"}


def test_whoever_runs_the_pieces_can_set_variables_on_the_way() -> None:
    cut = Script("SELECT 1 AS a \\gset\nSELECT :a;")
    pieces = cut.pieces()
    next(pieces)
    cut.variables["a"] = "7"
    assert next(pieces).text == "SELECT 7"


def test_data_behind_a_copy_is_no_statement() -> None:
    script = "COPY t FROM stdin;\n1;\n\\N\n\\.\nSELECT 1;\n\\copy t from stdin\n;;\n\\.\nSELECT 2;"
    first, *others = Script(script).pieces()
    assert first.data == "1;\n\\N\n"
    assert [piece.text for piece in others] == ["SELECT 1", "SELECT 2"]


def test_a_copy_that_is_to_fail_has_no_data() -> None:
    script = "COPY t FROM stdin (nothing);\nCOPY t FROM stdin;\n1\n\\.\n"
    assert [(piece.text, piece.data) for piece in Script(script).pieces()] == [
        ("COPY t FROM stdin (nothing)", None),
        ("COPY t FROM stdin", "1\n"),
    ]


def test_what_does_not_end_is_named() -> None:
    cut = Script("SELECT 1;\nSELECT 'a")
    assert [piece.text for piece in cut.pieces()] == ["SELECT 1", "SELECT 'a"]
    assert cut.uncut == [(2, "something that does not end")]


def test_the_blocks_of_a_spec_are_texts() -> None:
    spec = (
        '# {no}\nsetup\n{\n  CREATE TABLE t (); SELECT 1;\n}\nsession "s {no}"\nstep a { COMMIT; }'
    )
    assert [(piece.text, piece.line) for piece in spec_pieces(spec)] == [
        ("CREATE TABLE t (); SELECT 1;", 3),
        ("COMMIT;", 7),
    ]
