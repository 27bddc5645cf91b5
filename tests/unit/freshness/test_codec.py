"""What members say to each other, as bytes: all of it comes back, and nothing else is believed."""

from __future__ import annotations

from typing import TypeVar
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from proxy.freshness.codec import FORMAT, LONGEST, Codec, Malformed, TooLong
from proxy.freshness.frames import (
    Claim,
    Cleared,
    Doubted,
    Epoch,
    Frame,
    Marked,
    Note,
    Rode,
    State,
    Turning,
    Undone,
    Wrote,
)
from proxy.types import NO_EPOCH, Position, Table, Token

T = TypeVar("T")

NUMBERS = st.integers(0, 2**64 - 1)
WHOLE = st.integers(0, 2**128 - 1)
NAMES = st.text(st.characters(exclude_categories=()), max_size=20)  # even what is no UTF-8
TABLES = st.frozensets(st.builds(Table, st.sampled_from(["app", "", "müller"]), NUMBERS))
EPOCHS = st.builds(Epoch, NUMBERS, WHOLE.map(Token))
POSITIONS = st.integers(0, 2**80).map(Position)

SUMS = st.dictionaries(st.builds(Table, NAMES, NUMBERS), WHOLE, max_size=8)


def optional(of: SearchStrategy[T]) -> SearchStrategy[T | None]:
    return st.none() | of


ITEMS = (
    st.builds(Marked, WHOLE.map(Token), TABLES)
    | st.builds(Cleared, WHOLE.map(Token), optional(TABLES), optional(POSITIONS))
    | st.builds(Rode, WHOLE.map(Token), SUMS, optional(POSITIONS))
    | st.builds(Undone, WHOLE.map(Token))
    | st.builds(
        Wrote,
        WHOLE.map(Token),
        st.lists(st.tuples(st.builds(Table, NAMES, NUMBERS), NUMBERS)).map(tuple),
        st.lists(st.builds(Claim, TABLES, st.lists(NAMES).map(tuple)), max_size=3).map(tuple),
    )
    | st.builds(Turning, EPOCHS)
    | st.builds(Doubted, TABLES)
)
FRAMES = st.builds(
    Frame,
    NAMES,
    NUMBERS,
    EPOCHS,
    st.lists(ITEMS, max_size=8).map(tuple),
    st.dictionaries(NAMES, NUMBERS, max_size=4),
)
SUMS = st.dictionaries(st.builds(Table, NAMES, NUMBERS), WHOLE, max_size=8)
STATES = st.builds(
    State,
    EPOCHS,
    st.dictionaries(WHOLE.map(Token), TABLES, max_size=4),
    SUMS,
    st.dictionaries(NAMES, SUMS, max_size=3),
    TABLES,
)
NOTES = st.builds(Note, NAMES, NAMES, NUMBERS, st.booleans(), NUMBERS, optional(STATES))
SAID = FRAMES | NOTES
CODEC = Codec("tidegate", "app")
SMALL = Frame("a", 1, NO_EPOCH, (Undone(Token(3)),), {"b": 2})


@given(SAID)
def test_what_is_said_is_heard(said: Frame | Note) -> None:
    assert CODEC.decode(CODEC.encode(said)) == said


@given(SAID, st.data())
def test_what_is_cut_or_changed_is_not_heard(said: Frame | Note, data: st.DataObject) -> None:
    message = CODEC.encode(said)
    place = data.draw(st.integers(0, len(message) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    changed = message[:place] + bytes([message[place] ^ bit]) + message[place + 1 :]
    for other in (message[:place], message + b"\0", changed):
        with pytest.raises(Malformed):
            CODEC.decode(other)


@given(st.binary(max_size=200))
def test_noise_is_not_heard(noise: bytes) -> None:
    with pytest.raises(Malformed):
        CODEC.decode(noise)


@given(st.sampled_from([1, 2]), st.binary(max_size=200), st.data())
def test_bodies_that_make_no_sense_are_malformed_and_nothing_else(
    kind: int, noise: bytes, data: st.DataObject
) -> None:
    """As an enemy would send them, or a program with a mistake: their checksum is right."""
    real = CODEC.encode(data.draw(SAID))[6:]
    place = data.draw(st.integers(0, len(real)))
    for body in (noise, real[:place] + noise, real[:place] + noise[:1] + real[place + 1 :]):
        try:
            said = CODEC.decode(sealed(body, kind))
        except Malformed:
            continue
        assert CODEC.decode(CODEC.encode(said)) == said


def sealed(body: bytes, kind: int, format: int = FORMAT) -> bytes:
    checksum = crc32(body, (crc32(b"tidegate/app") + kind) & 0xFFFFFFFF)
    return bytes([format, kind]) + checksum.to_bytes(4, "big") + body


def test_another_format_or_kind_is_named() -> None:
    message = CODEC.encode(SMALL)
    with pytest.raises(Malformed, match="format 1, and 3 is known"):
        CODEC.decode(b"\1" + message[1:])
    with pytest.raises(Malformed, match="kind 9"):
        CODEC.decode(sealed(b"", 9))


def test_the_format_is_what_it_was() -> None:
    """Members of two releases talk to each other: another format needs another number."""
    frame = Frame(
        "a1", 300, Epoch(2, Token(5)), (Marked(Token(6), frozenset([Table("app", 7)])),), {"b": 8}
    )
    body = b"\x02a1" + b"\xac\x02" + b"\x02" + bytes(15) + b"\5"
    body += b"\1" + b"\1" + bytes(15) + b"\6" + b"\1" + b"\0" + b"\3app" + b"\7"
    assert CODEC.encode(frame) == sealed(body + b"\1" + b"\1b" + b"\x08", 1)


@pytest.mark.parametrize(("fleet", "group"), [("tidegate", "other"), ("other", "app")])
def test_another_channel_is_not_heard(fleet: str, group: str) -> None:
    with pytest.raises(Malformed, match="another fleet"):
        Codec(fleet, group).decode(CODEC.encode(SMALL))


def test_sizes() -> None:
    """An idle member's renewal, a commit's mark and acknowledgement, a fleet's 20 000 tables."""
    one = "0123456789abcdef"
    renewal = Frame(one, 10**6, Epoch(3, Token(1)), (), {f"{n:016x}": 10**6 for n in range(3)})
    mark = Frame(one, 10**6, Epoch(3, Token(1)), (Marked(Token(2), frozenset([TABLE])),), {})
    note = Note(one, one, 10**6, False, 10**6, None)
    state = State(Epoch(3, Token(1)), {}, {Table("app", 16384 + n): n for n in range(20_000)}, {})
    sizes = [len(CODEC.encode(said)) for said in (renewal, mark, note)]
    assert sizes == [105, 71, 47]
    assert len(CODEC.encode(note._replace(state=state))) < 21 * 20_000


def test_ids_that_begin_alike_take_little() -> None:
    """As of commits that rode on a token: a server's name is long, and said once."""
    name = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
    gtids = tuple(f"{name}:{number}" for number in range(1000, 1256))
    few, many = (
        Frame("a", 1, NO_EPOCH, (Wrote(Token(1), (), (Claim(frozenset([TABLE]), of),)),), {})
        for of in (gtids[:1], gtids)
    )
    assert len(CODEC.encode(many)) - len(CODEC.encode(few)) < 3.2 * 256


def test_ids_are_not_written_out_without_end() -> None:
    """A text is said once, and that the next ones are the same takes two bytes each."""
    long = "x" * 100_000
    frame = Frame("", 1, NO_EPOCH, (Wrote(Token(1), (), (Claim(frozenset(), (long,) * 200),)),), {})
    with pytest.raises(Malformed, match="written out"):
        CODEC.decode(CODEC.encode(frame))


TABLE = Table("app", 16384)


def test_more_than_goes_into_a_message_is_not_sent() -> None:
    long = "x" * (LONGEST // 4)
    tables = frozenset(Table(long + str(n), 1) for n in range(4))
    with pytest.raises(TooLong):
        CODEC.encode(Frame("a", 1, NO_EPOCH, (Marked(Token(1), tables),), {}))
