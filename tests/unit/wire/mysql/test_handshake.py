"""The packets that open a connection: built, read, recorded, broken."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.errors import BadHandshake, OldClient
from proxy.wire.mysql.handshake import (
    ChangeUser,
    Greeting,
    Response,
    build_change_user,
    build_greeting,
    build_response,
    build_ssl_request,
    read_change_user,
    read_flags,
    read_greeting,
    read_response,
)
from tests.unit.wire.mysql import openings as recordings

SERVERS = recordings.read("servers.txt")
CLIENTS = recordings.read("clients.txt")

MYSQL = 0xDFFF_FFFF
MARIADB = 0x1D_81FF_FFFE
NEEDED = can.PROTOCOL_41 | can.SECURE_CONNECTION
ANN = Response(capabilities=NEEDED, max_packet=1 << 24, charset=45, user=b"ann", answer=b"a" * 20)

# ---- greetings -----------------------------------------------------------------------------


def test_mariadbs_greeting() -> None:
    greeting = read_greeting(SERVERS["mariadb native"][0][1][HEADER:])
    assert greeting.is_mariadb
    assert greeting.server_version == b"5.5.5-10.11.19-MariaDB-0+deb12u1"
    assert greeting.version == b"10.11.19-MariaDB-0+deb12u1"
    assert greeting.capabilities == 0x1D_81FF_FFFE
    assert greeting.capabilities & can.MARIADB_BULK
    assert not greeting.capabilities & can.MARIADB_COM_MULTI
    assert greeting.plugin == b"mysql_native_password"
    assert (len(greeting.nonce), greeting.charset, greeting.status) == (20, 8, 2)


def test_mysqls_greeting() -> None:
    greeting = read_greeting(SERVERS["mysql full"][0][1][HEADER:])
    assert not greeting.is_mariadb
    assert greeting.server_version == greeting.version == b"9.7.4-2"
    assert greeting.capabilities == MYSQL
    assert greeting.plugin == b"caching_sha2_password"
    assert (len(greeting.nonce), greeting.charset, greeting.status) == (20, 255, 2)


@pytest.mark.parametrize("title", SERVERS)
def test_a_recorded_greeting_is_built_again_byte_for_byte(title: str) -> None:
    payload = SERVERS[title][0][1][HEADER:]
    assert build_greeting(read_greeting(payload)) == payload


def nonces(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).map(lambda data: data.replace(b"\0", b"\1"))


words = st.binary(max_size=20).map(lambda data: data.replace(b"\0", b""))


@given(
    version=words,
    connection_id=st.integers(0, 0xFFFF_FFFF),
    nonce=nonces(20),
    flags=st.sampled_from([MYSQL, MARIADB]) | st.integers(0, (1 << 38) - 1),
    charset=st.integers(0, 255),
    status=st.integers(0, 0xFFFF),
    plugin=words,
)
def test_a_greeting_is_read_as_it_was_built(
    version: bytes,
    connection_id: int,
    nonce: bytes,
    flags: int,
    charset: int,
    status: int,
    plugin: bytes,
) -> None:
    flags |= NEEDED | can.PLUGIN_AUTH
    if flags & can.LONG_PASSWORD:
        flags &= 0xFFFF_FFFF
    greeting = Greeting(
        server_version=version,
        connection_id=connection_id,
        nonce=nonce,
        capabilities=flags,
        charset=charset,
        status=status,
        plugin=plugin,
    )
    assert read_greeting(build_greeting(greeting)) == greeting


def test_a_nonce_of_another_length_is_read_too() -> None:
    greeting = read_greeting(SERVERS["mysql full"][0][1][HEADER:])
    longer = replace(greeting, nonce=b"n" * 32)
    assert read_greeting(build_greeting(longer)) == longer


def test_a_server_from_before_plugins_has_none() -> None:
    greeting = replace(
        read_greeting(SERVERS["mysql full"][0][1][HEADER:]), capabilities=NEEDED, plugin=b""
    )
    assert read_greeting(build_greeting(greeting)) == greeting


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "protocol version none"),
        (b"\x09", "protocol version 9"),
        (b"\x0a8.0", "in the middle of a string"),
        (b"\x0a8.0\0" + bytes(14), "too short"),
    ],
)
def test_what_is_no_greeting_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        read_greeting(payload)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_greeting_or_refused(data: bytes) -> None:
    for payload in (data, b"\x0a" + data, b"\x0a8.0\0" + data):
        with contextlib.suppress(RemoteProtocolError):
            read_greeting(payload)


# ---- responses -----------------------------------------------------------------------------

layouts = st.builds(
    lambda bits: NEEDED | sum(bits),
    st.sets(
        st.sampled_from(
            [
                can.CONNECT_WITH_DB,
                can.PLUGIN_AUTH,
                can.CONNECT_ATTRS,
                can.PLUGIN_AUTH_LENENC_CLIENT_DATA,
                can.ZSTD_COMPRESSION,
                can.LONG_PASSWORD,
                can.MARIADB_BULK,
                can.DEPRECATE_EOF,
            ]
        )
    ),
)


@given(
    flags=layouts,
    max_packet=st.integers(0, 0xFFFF_FFFF),
    charset=st.integers(0, 255),
    user=words,
    answer=st.binary(max_size=255),
    database=words,
    plugin=words,
    attributes=st.dictionaries(words, st.binary(max_size=300), max_size=4),
    level=st.integers(0, 22),
)
def test_a_response_is_read_as_it_was_built(
    flags: int,
    max_packet: int,
    charset: int,
    user: bytes,
    answer: bytes,
    database: bytes,
    plugin: bytes,
    attributes: dict[bytes, bytes],
    level: int,
) -> None:
    if flags & can.LONG_PASSWORD:
        flags &= 0xFFFF_FFFF
    response = Response(
        capabilities=flags,
        max_packet=max_packet,
        charset=charset,
        user=user,
        answer=answer,
        database=database if flags & can.CONNECT_WITH_DB else b"",
        plugin=plugin if flags & can.PLUGIN_AUTH else b"",
        attributes=attributes if flags & can.CONNECT_ATTRS else {},
        zstd_level=level if flags & can.ZSTD_COMPRESSION else 0,
    )
    assert read_response(build_response(response), (1 << 38) - 1) == response


def test_an_answer_longer_than_a_byte_can_say_has_a_length_of_its_own() -> None:
    flags = NEEDED | can.PLUGIN_AUTH_LENENC_CLIENT_DATA
    response = replace(ANN, capabilities=flags, answer=b"a" * 70_000)
    assert read_response(build_response(response), MYSQL) == response


def test_an_answer_without_secure_connection_ends_with_a_zero() -> None:
    response = replace(ANN, capabilities=can.PROTOCOL_41, answer=b"12345678")
    assert build_response(response).endswith(b"ann\x0012345678\0")
    assert read_response(build_response(response), MYSQL) == response


FIRST_WORDS = {title: login[1][1][HEADER:] for title, login in CLIENTS.items()}


@pytest.mark.parametrize("title", FIRST_WORDS)
def test_what_clients_say_first_is_understood(title: str) -> None:
    client, server, user = title.split()
    offered = MARIADB if server == "mariadb" else MYSQL
    response = read_response(FIRST_WORDS[title], offered)
    assert response.user.decode() == user
    assert response.database == b"shop"
    assert response.plugin in (b"mysql_native_password", b"caching_sha2_password")
    assert len(response.answer) in (20, 32)
    names = {
        "pymysql": b"pymysql",
        "connector": b"mysql-connector-python",
        "mariadb": b"libmariadb",
        "mysql9": b"libmysql",
    }
    assert response.attributes[b"_client_name"] == names[client]
    assert bool(response.capabilities & can.MARIADB_BULK) == (title.startswith("mariadb mariadb"))


def test_what_was_not_offered_is_not_agreed_on() -> None:
    response = replace(ANN, capabilities=NEEDED | can.COMPRESS | can.ZSTD_COMPRESSION)
    agreed = read_response(build_response(response), NEEDED | can.COMPRESS).capabilities
    assert agreed == NEEDED | can.COMPRESS


def test_mariadbs_capabilities_are_not_looked_for_where_mysql_reserves_bytes() -> None:
    payload = bytearray(build_response(replace(ANN, capabilities=NEEDED | can.LONG_PASSWORD)))
    payload[28:32] = b"\xff" * 4
    assert read_flags(bytes(payload)) == NEEDED | can.LONG_PASSWORD


def test_a_client_may_leave_out_the_last_zero_and_what_it_has_not() -> None:
    flags = NEEDED | can.PLUGIN_AUTH | can.CONNECT_ATTRS | can.CONNECT_WITH_DB
    whole = build_response(replace(ANN, capabilities=flags, database=b"shop", plugin=b"plug"))
    assert read_response(whole[: whole.index(b"plug") + 4], MYSQL).plugin == b"plug"
    assert read_response(whole[: whole.index(b"plug")], MYSQL).database == b"shop"
    assert read_response(whole[: whole.index(b"shop")], MYSQL).answer == ANN.answer


@pytest.mark.parametrize(
    "payload",
    [
        b"\x05\x00\x00\x00\x00root\0",
        b"\x05\x00",
        b"\xff\xfd" + bytes(60),
    ],
)
def test_a_client_from_before_41_is_told_so(payload: bytes) -> None:
    with pytest.raises(OldClient):
        read_response(payload, MYSQL)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x05",
        b"\x05\xa2",
        build_ssl_request(ANN),
        build_ssl_request(ANN) + b"ann",
        build_ssl_request(ANN) + b"ann\0",
        build_ssl_request(ANN) + b"ann\0\x14abc",
        build_response(replace(ANN, capabilities=NEEDED | can.CONNECT_WITH_DB))[:-1] + b"shop",
        build_response(ANN)[:-1],
    ],
)
def test_half_a_response_is_a_bad_handshake(payload: bytes) -> None:
    with pytest.raises(BadHandshake):
        read_response(payload, MYSQL)


@pytest.mark.parametrize(
    "attributes",
    [b"\xfb", b"\x05\x01a", b"\x03\x01a\x05", b"\x02\x05a", b"\x03\x01a\x02bc", b"\xfe\xff"],
)
def test_attributes_that_do_not_add_up_are_a_bad_handshake(attributes: bytes) -> None:
    flags = NEEDED | can.CONNECT_ATTRS
    whole = build_response(replace(ANN, capabilities=flags))
    with pytest.raises(BadHandshake):
        read_response(whole[:-1] + attributes, MYSQL)


@given(st.binary(max_size=200), st.sampled_from([MYSQL, MARIADB, 0]))
def test_any_bytes_are_a_response_or_refused(data: bytes, offered: int) -> None:
    for payload in (data, b"\xff\xff\xff\xff" + data, b"\xfe" * 32 + data):
        with contextlib.suppress(RemoteProtocolError):
            read_response(payload, offered)


@pytest.mark.parametrize("title", FIRST_WORDS)
def test_a_recorded_response_cut_anywhere_is_read_or_refused(title: str) -> None:
    payload = FIRST_WORDS[title]
    for stop in range(len(payload)):
        try:
            read_response(payload[:stop], MYSQL)
        except BadHandshake:
            continue


# ---- COM_CHANGE_USER -----------------------------------------------------------------------


@given(
    flags=layouts | layouts.map(lambda flags: flags & ~can.SECURE_CONNECTION),
    user=words,
    answer=words,
    database=words,
    charset=st.integers(0, 0xFFFF) | st.none(),
    plugin=words,
    attributes=st.dictionaries(words, st.binary(max_size=300), max_size=4),
)
def test_a_change_of_user_is_read_as_it_was_built(
    flags: int,
    user: bytes,
    answer: bytes,
    database: bytes,
    charset: int | None,
    plugin: bytes,
    attributes: dict[bytes, bytes],
) -> None:
    more = charset is not None
    wish = ChangeUser(
        user=user,
        answer=answer,
        database=database,
        charset=charset,
        plugin=plugin if more and flags & can.PLUGIN_AUTH else b"",
        attributes=attributes if more and flags & can.CONNECT_ATTRS else {},
    )
    assert read_change_user(build_change_user(wish, flags), flags) == wish


@given(st.binary(max_size=60), layouts)
def test_any_bytes_are_a_change_of_user_or_refused(data: bytes, flags: int) -> None:
    for payload in (data, b"ann\0" + data, b"ann\0\0\0" + data):
        with contextlib.suppress(RemoteProtocolError):
            read_change_user(payload, flags)
