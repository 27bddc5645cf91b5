"""The `options` of a startup packet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidSetting, Unsupported
from proxy.wire.postgres.options import read_options, split_options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (b"", []),
        (b" \t\n ", []),
        (b"-c a=b", [b"-c", b"a=b"]),
        (rb"  a\ b  c ", [b"a b", b"c"]),
        (rb"a\\b \-c", [rb"a\b", b"-c"]),
        (b"a\\\nb", [b"a\nb"]),
        (b"ab\\", [b"ab"]),
    ],
)
def test_words_are_parted_as_postgres_parts_them(options: bytes, words: list[bytes]) -> None:
    assert split_options(options) == words


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (b"-c geqo=off", {b"geqo": b"off"}),
        (b"-cgeqo=off", {b"geqo": b"off"}),
        (b"--geqo=off", {b"geqo": b"off"}),
        (b"--Statement-Timeout=5min", {b"statement_timeout": b"5min"}),
        (rb"-c search_path=a,\ b -c x.y=", {b"search_path": b"a, b", b"x.y": b""}),
        (b"-c a=1=2", {b"a": b"1=2"}),
        (b"-c a=1 --a=2", {b"a": b"2"}),
    ],
)
def test_settings_are_read_in_each_spelling(options: bytes, settings: dict[bytes, bytes]) -> None:
    assert read_options(options) == settings


@pytest.mark.parametrize("options", [b"-c", b"-c geqo", b"--geqo", b"-c =x", b"--=x"])
def test_a_setting_without_a_value_is_refused(options: bytes) -> None:
    with pytest.raises(InvalidSetting, match="requires a value"):
        read_options(options)


@pytest.mark.parametrize("options", [b"-e", b"-S 4096", b"geqo=off", b"--", b"-"])
def test_what_is_no_setting_is_refused_rather_than_dropped(options: bytes) -> None:
    with pytest.raises(Unsupported):
        read_options(options)


@given(
    st.dictionaries(
        st.text("abc_.", min_size=1).map(str.encode),
        st.binary(max_size=12).map(lambda value: value.replace(b"\0", b"")),
    )
)
def test_settings_escaped_as_the_manual_says_are_read_back(settings: dict[bytes, bytes]) -> None:
    def escape(value: bytes) -> bytes:
        return b"".join(b"\\" + bytes([byte]) for byte in value)

    options = b" ".join(b"-c " + name + b"=" + escape(value) for name, value in settings.items())
    assert read_options(options) == settings


@given(st.binary())
def test_garbage_raises_nothing_but_what_a_client_may_see(options: bytes) -> None:
    try:
        read_options(options)
    except (InvalidSetting, Unsupported):
        return
