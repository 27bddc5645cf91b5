"""Whose rows a commit has changed is read from what `test_decoding` says, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres.changes import PART, Reader, Transaction, unquote


def read(*lines: bytes) -> Transaction:
    reader = Reader()
    for line in (b"BEGIN 753", *lines):
        assert reader.take(line) is None
    ended = reader.take(b"COMMIT 753")
    assert ended is not None
    return ended


def test_rows_are_counted_by_table() -> None:
    ended = read(
        b"table public.t: INSERT: id[integer]:1 v[text]:'a: DELETE: b'",
        b"table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 v[text]:null",
        b'table s."My ""T"": x.y": DELETE: (no-tuple-data)',
    )
    assert ended.xid == 753
    assert ended.rows == {b"public.t": 2, b's."My ""T"": x.y"': 1}
    assert ended.is_clear
    assert not ended.truncated


def test_a_truncate_names_all_its_tables() -> None:
    ended = read(b'table a.b, a."c, d", e.f: TRUNCATE: restart_seqs cascade')
    assert ended.truncated == {b"a.b", b'a."c, d"', b"e.f"}
    assert not ended.rows
    assert ended.is_clear


@pytest.mark.parametrize(
    "line",
    [
        b"table public.t: MERGE: id[integer]:1",
        b"table t: INSERT: id[integer]:1",
        b"table public.T: INSERT: id[integer]:1",
        b'table public."t: INSERT: id[integer]:1',
        b"table a.b, c.d: INSERT: id[integer]:1",
        b"table a.b, a.b, a.",
        b"table ",
        b"view a.b: INSERT: ",
    ],
)
def test_what_is_not_understood_may_be_any_table(line: bytes) -> None:
    assert not read(line).is_clear


def test_a_large_transaction_is_told_of_in_parts() -> None:
    reader = Reader()
    reader.take(b"BEGIN 7")
    taken = [reader.take(b"table a.b: INSERT: ") for _ in range(2 * PART + 1)]
    ended = reader.take(b"COMMIT 7")
    assert ended is not None
    parts = [*(part for part in taken if part is not None), ended]
    assert [part.rows for part in parts] == [{b"a.b": PART}, {b"a.b": PART}, {b"a.b": 1}]
    assert {part.xid for part in parts} == {7}


def test_messages_are_no_changes() -> None:
    reader = Reader()
    assert reader.take(b"message: transactional: 0 prefix: p, sz: 1 content:x") is None
    assert reader.take(b"BEGIN 1") is None
    assert reader.take(b"message: transactional: 1 prefix: p, sz: 1 content:x") is None
    ended = reader.take(b"COMMIT 1")
    assert ended is not None
    assert ended.is_clear


@pytest.mark.parametrize("line", [b"COMMIT 1", b"table a.b: INSERT: ", b"BEGIN", b"BEGIN x", b""])
def test_what_is_out_of_place_ends_the_stream(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Reader().take(line)


def quote(part: str) -> str:
    return '"' + part.replace('"', '""') + '"'


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(names, names)
def test_any_name_is_found_again(schema: str, name: str) -> None:
    written = f"{quote(schema)}.{quote(name)}".encode()
    ended = read(b"table " + written + b": INSERT: id[integer]:1")
    assert list(ended.rows) == [written]
    assert unquote(written) == (schema.encode(), name.encode())


@given(st.binary())
def test_garbage_is_no_name(data: bytes) -> None:
    found = unquote(data)
    assert found is None or all(isinstance(part, bytes) for part in found)


@given(st.lists(st.binary() | st.sampled_from([b"BEGIN 1", b"COMMIT 1", b"table a.b: INSERT: "])))
def test_garbage_raises_nothing_else(lines: list[bytes]) -> None:
    reader = Reader()
    try:
        for line in lines:
            reader.take(line)
    except RemoteProtocolError:
        pass


def test_names_without_quotes() -> None:
    assert unquote(b"public.t_1$") == (b"public", b"t_1$")
    for garbage in (b"", b".", b"a", b"a.", b".b", b"a.b.c", b'"a.b', b'""', b"a b.c"):
        assert unquote(garbage) is None
