"""What comes from a store is what was put there under this very name, or it is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.key import Key, Shape
from proxy.cache.sealed import NAME_BYTES, Realm, Sealed
from proxy.types import Table

REALM = Realm(b"a salt of 16 bytes", b"epoch 1")
SHAPE = Shape(1, 0, "g", "shop", "ann", "ann", "postgres", "UTF8", (("search_path", "a"),))
KEY = Key(b"SELECT a FROM orders WHERE secret = 'x'", b"(23,)", b"\0\1", 0)
ORDERS = frozenset((Table("shop", 16384),))
NAME = REALM.name(SHAPE, KEY, ORDERS)
PIECES = (b"columns", b"rows" * 50)
ROOM = 1 << 20

pieces_of = st.lists(st.binary(max_size=300)).map(tuple)
versions = st.integers(0, (1 << 128) - 1)
thresholds = st.sampled_from((0, 64, ROOM))


@given(pieces_of, versions, thresholds)
def test_what_was_sealed_is_what_is_found(
    pieces: tuple[bytes, ...], version: int, compress_above: int
) -> None:
    data = REALM.seal(NAME, version, pieces, compress_above)
    assert REALM.unseal(NAME, data, ROOM) == Sealed(version, pieces)


@given(st.binary(max_size=400))
def test_garbage_is_nothing(data: bytes) -> None:
    assert REALM.unseal(NAME, data, ROOM) is None


@given(pieces_of, thresholds, st.data())
def test_what_was_changed_anywhere_is_nothing(
    pieces: tuple[bytes, ...], compress_above: int, data: st.DataObject
) -> None:
    sealed = REALM.seal(NAME, 7, pieces, compress_above)
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.integers(1, 255))
    changed = sealed[:place] + bytes((sealed[place] ^ other,)) + sealed[place + 1 :]
    assert REALM.unseal(NAME, changed, ROOM) is None


@pytest.mark.parametrize("compress_above", [0, ROOM])
def test_what_was_cut_or_has_grown_is_nothing(compress_above: int) -> None:
    sealed = REALM.seal(NAME, 7, PIECES, compress_above)
    for size in range(len(sealed)):
        assert REALM.unseal(NAME, sealed[:size], ROOM) is None
    assert REALM.unseal(NAME, sealed + b"\0", ROOM) is None


def test_of_another_salt_it_is_nothing() -> None:
    other = Realm(b"another salt of 16", b"epoch 1")
    assert other.name(SHAPE, KEY, ORDERS) != NAME
    assert REALM.unseal(NAME, other.seal(NAME, 7, PIECES, ROOM), ROOM) is None


def test_under_another_name_it_is_nothing() -> None:
    other = REALM.name(SHAPE, KEY._replace(limit=1), ORDERS)
    assert REALM.unseal(NAME, REALM.seal(other, 7, PIECES, ROOM), ROOM) is None


def test_of_another_format_it_is_nothing() -> None:
    sealed = REALM.seal(NAME, 7, PIECES, ROOM)
    body, packing = sealed[69:], sealed[4:5]
    for head in (b"tgx\1" + packing, b"tgr\2" + packing, b"tgr\1\7"):
        rest = head + sealed[5:53]
        forged = rest + REALM._checksum(rest, body) + body
        assert REALM.unseal(NAME, forged, ROOM) is None


def test_larger_than_wanted_it_is_nothing() -> None:
    sealed = REALM.seal(NAME, 7, PIECES, 0)
    assert REALM.unseal(NAME, sealed, 100) is None


def test_large_ones_are_compressed_where_that_makes_them_smaller() -> None:
    assert len(REALM.seal(NAME, 7, PIECES, 0)) < len(REALM.seal(NAME, 7, PIECES, ROOM))
    noise = bytes(range(256))
    assert len(REALM.seal(NAME, 7, (noise,), 0)) == len(REALM.seal(NAME, 7, (noise,), ROOM))


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": 2},
        {"group": "h"},
        {"database": "other"},
        {"user": "bob"},
        {"role": "boss"},
        {"protocol": "mysql"},
        {"encoding": "LATIN1"},
        {"settings": (("search_path", "b"),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_all_that_shapes_a_result_is_in_its_name(changes: dict[str, object]) -> None:
    assert REALM.name(SHAPE._replace(**changes), KEY, ORDERS) != NAME  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key",
    [
        KEY._replace(statement=b"SELECT b FROM orders"),
        KEY._replace(types=b""),
        KEY._replace(parameters=b"\0\2"),
        KEY._replace(limit=1),
    ],
)
def test_all_that_is_asked_is_in_its_name(key: Key) -> None:
    assert REALM.name(SHAPE, key, ORDERS) != NAME


def test_the_tables_and_the_epoch_are_in_its_name() -> None:
    assert REALM.name(SHAPE, KEY, frozenset((Table("shop", 1),))) != NAME
    assert Realm(b"a salt of 16 bytes", b"epoch 2").name(SHAPE, KEY, ORDERS) != NAME


def test_rules_are_not_in_its_name() -> None:
    """What they make of a text is what is asked."""
    assert REALM.name(SHAPE._replace(rules=(1, 2)), KEY, ORDERS) == NAME


def test_a_name_tells_nothing() -> None:
    assert len(NAME) == NAME_BYTES
    assert b"secret" not in REALM.seal(NAME, 7, PIECES, ROOM)
