"""A client's messages: what is built is read back; what is malformed is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import LocalProtocolError, RemoteProtocolError
from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.codec import message

names = st.binary(max_size=20).map(lambda name: name.replace(b"\0", b""))
oids = st.lists(st.integers(0, 2**32 - 1), max_size=5)
values = st.lists(st.none() | st.binary(max_size=10), max_size=5)
formats = st.lists(st.integers(0, 1), max_size=5)
kinds = st.sampled_from([tags.STATEMENT, tags.PORTAL])


def test_a_query_is_as_the_manual_has_it() -> None:
    assert frontend.query(b"select 1") == b"Q\0\0\0\x0dselect 1\0"


def test_a_bind_is_as_the_manual_has_it() -> None:
    got = frontend.bind(b"p", b"s", [b"7", None], parameter_formats=[1], result_formats=[0, 1])
    body = b"p\0s\0\0\1\0\1\0\2\0\0\0\x017\xff\xff\xff\xff\0\2\0\0\0\1"
    assert got == b"B" + (len(body) + 4).to_bytes(4, "big") + body


@given(names)
def test_query_is_read_back(sql: bytes) -> None:
    assert frontend.read_query(frontend.query(sql)) == sql


@given(names, names, oids)
def test_parse_is_read_back(name: bytes, sql: bytes, types: list[int]) -> None:
    built = frontend.parse(name, sql, types)
    assert frontend.read_parse(built) == (name, sql, tuple(types))


@given(names, names, values, st.integers(0, 1), formats)
def test_bind_is_read_back(
    portal: bytes,
    statement: bytes,
    parameters: list[bytes | None],
    parameter_format: int,
    result_formats: list[int],
) -> None:
    built = frontend.bind(
        portal,
        statement,
        parameters,
        parameter_formats=[parameter_format],
        result_formats=result_formats,
    )
    assert frontend.read_bind(built) == frontend.Bind(
        portal, statement, (parameter_format,), parameters, tuple(result_formats)
    )


@given(kinds, names)
def test_describe_and_close_are_read_back(kind: int, name: bytes) -> None:
    assert frontend.read_describe(frontend.describe(kind, name)) == (kind, name)
    assert frontend.read_close(frontend.close(kind, name)) == (kind, name)


@given(names, st.integers(-(2**31), 2**31 - 1))
def test_execute_is_read_back(portal: bytes, max_rows: int) -> None:
    assert frontend.read_execute(frontend.execute(portal, max_rows)) == (portal, max_rows)


@given(names)
def test_copy_fail_and_password_are_read_back(text: bytes) -> None:
    assert frontend.read_copy_fail(frontend.copy_fail(text)) == text
    assert frontend.read_password(frontend.password(text)) == text


@given(names, st.binary())
def test_sasl_is_read_back(mechanism: bytes, data: bytes) -> None:
    built = frontend.sasl_initial_response(mechanism, data)
    assert frontend.read_sasl_initial_response(built) == (mechanism, data)


def test_a_sasl_choice_may_come_without_a_first_message() -> None:
    sent = message(tags.PASSWORD, b"SCRAM-SHA-256\0\xff\xff\xff\xff")
    assert frontend.read_sasl_initial_response(sent) == (b"SCRAM-SHA-256", None)


@given(names, names, names, values, formats)
def test_a_renamed_bind_differs_in_its_statement_only(
    portal: bytes,
    statement: bytes,
    other: bytes,
    parameters: list[bytes | None],
    result_formats: list[int],
) -> None:
    def build(name: bytes) -> bytes:
        return frontend.bind(portal, name, parameters, result_formats=result_formats)

    assert frontend.rename_bind(build(statement), other) == build(other)


@given(kinds, names, names)
def test_a_renamed_describe_differs_in_its_name_only(kind: int, name: bytes, other: bytes) -> None:
    described = frontend.describe(kind, name)
    assert frontend.rename_describe(described, other) == frontend.describe(kind, other)


def test_the_first_piece_of_a_large_bind_can_be_renamed() -> None:
    whole = frontend.bind(b"", b"mine", [b"x" * 100_000])
    renamed = frontend.rename_bind(whole[:50], b"tidegate_17") + whole[50:]
    assert renamed == frontend.bind(b"", b"tidegate_17", [b"x" * 100_000])


def test_binds_of_the_same_values_are_equal_behind_their_names() -> None:
    one = frontend.bind(b"p1", b"s1", [b"7"])
    other = frontend.bind(b"", b"another", [b"7"])
    assert one[frontend.read_bind_names(one)[2] :] == other[frontend.read_bind_names(other)[2] :]


@pytest.mark.parametrize(
    "build",
    [
        lambda: frontend.query(b"select 1\0; drop"),
        lambda: frontend.parse(b"a\0b", b""),
        lambda: frontend.bind(b"", b"a\0"),
        lambda: frontend.rename_bind(frontend.bind(b"", b""), b"a\0b"),
    ],
)
def test_a_string_that_would_end_early_is_not_built(build: Callable[[], bytes]) -> None:
    with pytest.raises(LocalProtocolError, match="NUL"):
        build()


def test_more_values_than_a_message_can_count_are_not_built() -> None:
    assert len(frontend.read_bind(frontend.bind(b"", b"", [None] * 65_535)).parameters) == 65_535
    with pytest.raises(LocalProtocolError, match="65536 items do not fit a message"):
        frontend.bind(b"", b"", [None] * 65_536)


@pytest.mark.parametrize(
    ("read", "sent", "says"),
    [
        (frontend.read_query, message(tags.QUERY, b"select 1"), "invalid string in message"),
        (frontend.read_query, message(tags.QUERY, b"a\0b\0"), "invalid message format"),
        (frontend.read_parse, message(tags.PARSE, b"\0\0\0\2\0\0\0\0"), "insufficient data"),
        (frontend.read_parse, message(tags.PARSE, b"\0\0\0\0\0"), "invalid message format"),
        (frontend.read_bind, frontend.bind(b"", b"")[:-1], "insufficient data"),
        (
            frontend.read_bind,
            message(tags.BIND, b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
            "insufficient data",
        ),
        (
            frontend.read_bind,
            frontend.bind(b"", b"", [b"1"], parameter_formats=[0, 0]),
            "2 parameter formats but 1 parameters",
        ),
        (frontend.read_describe, message(tags.DESCRIBE, b"X\0"), "invalid DESCRIBE message"),
        (frontend.read_close, message(tags.CLOSE, b"X\0"), "invalid CLOSE message subtype 88"),
        (frontend.read_execute, message(tags.EXECUTE, b"\0\0\0"), "insufficient data"),
        (frontend.read_password, message(tags.PASSWORD, b"a\0b\0"), "password packet size"),
        (frontend.read_password, message(tags.PASSWORD, b"abc"), "password packet size"),
        (
            frontend.read_sasl_initial_response,
            message(tags.PASSWORD, b"SCRAM-SHA-256\0\0\0\0\5abc"),
            "insufficient data",
        ),
    ],
)
def test_a_malformed_message_is_refused_in_the_words_of_postgres(
    read: Callable[[bytes], object], sent: bytes, says: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        read(sent)


READERS: list[Callable[[bytes], object]] = [
    frontend.read_query,
    frontend.read_parse,
    frontend.read_bind,
    frontend.read_bind_names,
    frontend.read_describe,
    frontend.read_close,
    frontend.read_execute,
    frontend.read_copy_fail,
    frontend.read_password,
    frontend.read_sasl_initial_response,
]


@given(st.sampled_from(READERS), st.binary(max_size=40) | st.binary(max_size=6))
def test_garbage_raises_nothing_but_remote_protocol_error(
    read: Callable[[bytes], object], body: bytes
) -> None:
    try:
        read(message(tags.QUERY, body))
    except RemoteProtocolError:
        return


@given(
    st.sampled_from(READERS),
    st.sampled_from(
        [
            frontend.parse(b"n", b"select", [23, 25]),
            frontend.bind(b"p", b"s", [b"7", None], parameter_formats=[1], result_formats=[0]),
            frontend.execute(b"p", 7),
        ]
    ),
    st.data(),
)
def test_a_message_cut_anywhere_raises_nothing_but_remote_protocol_error(
    read: Callable[[bytes], object], whole: bytes, data: st.DataObject
) -> None:
    body = whole[5 : data.draw(st.integers(5, len(whole)))]
    try:
        read(message(whole[0], body))
    except RemoteProtocolError:
        return
