"""The classifier against PostgreSQL's grammar, on statements that nobody would write."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from proxy.sql.classify import classify
from proxy.sql.scanner import NOT_SURE, scan
from proxy.sql.statement import Kind
from tests.unit.sql import oracle
from tests.unit.sql.statements import CHANGES, READS, TRICKY
from tests.unit.sql.test_classify_oracle import check

TOKEN = re.compile(r'"(?:[^"]|"")*"|[^ ]+')
MANY = settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much])


def tokens_of(sql: str) -> list[str]:
    found = scan(sql.encode())
    return [] if found.flags & NOT_SURE else TOKEN.findall(found.fingerprint.decode())


STATEMENTS = [tokens for tokens in map(tokens_of, [*READS, *CHANGES, *TRICKY]) if tokens]
WORDS = sorted({token for tokens in STATEMENTS for token in tokens})

SPACES = st.sampled_from([" ", "\n", "\t ", "/* for update; */", " -- delete from t\n", "/*/**/*/"])
STRINGS = st.sampled_from(["''", "'x'", "E'\\''", "$$;$$", "$a$ for update $a$", "'a''b'", "U&'x'"])
NUMBERS = st.sampled_from(["0", "17", "1.5", ".5", "1e3"])


@st.composite
def spoilt(draw: st.DrawFn) -> list[str]:
    """A statement with a few of its tokens changed, added, taken out or doubled."""
    tokens = list(draw(st.sampled_from(STATEMENTS)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(tokens)))
        other = draw(st.sampled_from(STATEMENTS))
        start = draw(st.integers(0, len(other)))
        stop = start + draw(st.integers(0, 8))
        tokens[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([other[start:stop], ["(", *other, ")"], [], other[start : start + 1]])
            | st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)
        )
    return tokens


@st.composite
def dressed(draw: st.DrawFn, tokens: list[str]) -> str:
    """Tokens as text, with spaces, comments, cases and values of somebody's own."""
    parts = []
    for token in tokens:
        if token == "''":
            token = draw(STRINGS)
        elif token == "0":
            token = draw(NUMBERS)
        elif token.isalpha() and draw(st.booleans()):
            token = token.upper()
        parts += [token, draw(SPACES)]
    return "".join(parts)


@MANY
@given(st.data())
def test_no_statement_is_taken_for_less_than_it_is(data: st.DataObject) -> None:
    statement = check(data.draw(dressed(data.draw(spoilt()))))
    assume(statement is not None)
    event(statement.kind.value if statement else "refused")


@MANY
@given(st.data())
def test_equal_fingerprints_have_equal_meanings(data: st.DataObject) -> None:
    tokens = data.draw(st.sampled_from(STATEMENTS))
    one, other = data.draw(dressed(tokens)), data.draw(dressed(tokens))
    scans = scan(one.encode()), scan(other.encode())
    assume(scans[0].fingerprint == scans[1].fingerprint)
    facts = oracle.facts(one), oracle.facts(other)
    assume(None not in facts)  # the library's parser stumbles over a comment here and there
    assert facts[0] == facts[1]


@given(st.lists(st.sampled_from([*WORDS, "(", ")", "[", "]", ",", "."]), max_size=12).map(" ".join))
def test_any_tokens_are_classified_without_an_error(text: str) -> None:
    assert classify(text.encode()).kind in Kind


@given(st.binary(max_size=40))
@example(b"copy ")
@example(b" ")
def test_any_bytes_are_classified_without_an_error(text: bytes) -> None:
    assert classify(text).kind in Kind
