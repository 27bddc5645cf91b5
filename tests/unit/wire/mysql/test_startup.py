"""A client's first packets, as a conversation: what comes, what is answered."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientVisibleError, MessageTooLarge, RemoteProtocolError
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql import startup
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.errors import BadHandshake, OldClient, OutOfOrder, TlsRequired
from proxy.wire.mysql.events import Encryption, TlsBegins
from proxy.wire.mysql.handshake import (
    Greeting,
    Response,
    build_response,
    build_ssl_request,
    read_greeting,
)
from proxy.wire.mysql.scramble import NATIVE, SHA2
from proxy.wire.mysql.startup import Dialogue, Startup, client_startup, offer
from proxy.wire.mysql.turns import Turns
from tests.unit.wire.mysql import openings as recordings

MYSQL = 0xDFFF_FFFF
GREETING = Greeting(
    server_version=b"8.4.0-tidegate",
    connection_id=1,
    nonce=b"abcdefghijklmnopqrst",
    capabilities=offer(MYSQL),
    charset=255,
    status=2,
    plugin=SHA2,
)
ANN = Response(
    capabilities=offer(MYSQL) | can.LONG_PASSWORD,
    max_packet=1 << 24,
    charset=45,
    user=b"ann",
    answer=b"a" * 32,
    database=b"shop",
    plugin=SHA2,
    attributes={b"program_name": b"test"},
)
ANN_TLS = replace(ANN, capabilities=ANN.capabilities | can.SSL)
SSL_REQUEST = packet(1, build_ssl_request(ANN_TLS))


class Client:
    """The other end of the dialogue: says something, hears what is answered."""

    def __init__(
        self, encryption: Encryption = Encryption.OFFERED, greeting: Greeting = GREETING
    ) -> None:
        self.turns = Turns()
        self.dialogue: Dialogue = client_startup(greeting, self.turns, encryption=encryption)
        self.outcome: Startup | None = None
        self.greeting = next(self.dialogue)

    def says(self, data: bytes) -> bytes | TlsBegins:
        try:
            return self.dialogue.send(data)
        except StopIteration as stop:
            self.outcome = stop.value
            return b""


# ---- what is offered -----------------------------------------------------------------------


def test_what_is_not_spoken_is_not_offered() -> None:
    offered = offer(MYSQL)
    assert not offered & can.SSL
    assert not offered & can.MULTI_FACTOR_AUTHENTICATION
    assert offered & can.DEPRECATE_EOF
    assert offered & can.QUERY_ATTRIBUTES


def test_compression_is_offered_whatever_the_servers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offer(0) & can.COMPRESS
    monkeypatch.setattr(startup, "HAS_ZSTD", True)
    assert offer(0) & can.ZSTD_COMPRESSION
    monkeypatch.setattr(startup, "HAS_ZSTD", False)
    assert not offer(MYSQL) & can.ZSTD_COMPRESSION


def test_what_a_login_takes_is_offered_whatever_the_servers_say() -> None:
    for flag in (can.PROTOCOL_41, can.SECURE_CONNECTION, can.PLUGIN_AUTH, can.CONNECT_WITH_DB):
        assert offer(0) & flag


@pytest.mark.parametrize("encryption", Encryption)
def test_tls_is_offered_where_it_can_be_spoken(encryption: Encryption) -> None:
    greeting = Client(encryption).greeting
    assert isinstance(greeting, bytes)
    offered = read_greeting(greeting[HEADER:]).capabilities & can.SSL
    assert bool(offered) == (encryption is not Encryption.NEVER)


# ---- who wants what ------------------------------------------------------------------------


def test_a_client_says_who_it_is() -> None:
    client = Client()
    assert client.says(packet(1, build_response(ANN)) + b"more") == b""
    outcome = client.outcome
    assert outcome is not None
    assert outcome.response == ANN
    assert (outcome.first.plugin, outcome.first.answer) == (SHA2, b"a" * 32)
    assert (outcome.is_encrypted, outcome.can_switch, outcome.rest) == (False, True, b"more")
    assert client.turns.next_id == 2


def test_a_client_that_knows_no_plugins_uses_the_native_one() -> None:
    client = Client()
    flags = ANN.capabilities & ~can.PLUGIN_AUTH
    client.says(packet(1, build_response(replace(ANN, capabilities=flags))))
    assert client.outcome is not None
    assert client.outcome.first.plugin == NATIVE
    assert not client.outcome.can_switch


def test_mariadbs_capabilities_are_agreed_on_with_its_clients_alone() -> None:
    greeting = replace(GREETING, capabilities=offer(0x1D_81FF_FFFE))
    client = Client(greeting=greeting)
    flags = greeting.capabilities | can.MARIADB_COM_MULTI
    client.says(packet(1, build_response(replace(ANN, capabilities=flags))))
    assert client.outcome is not None
    assert client.outcome.response.capabilities == greeting.capabilities
    assert greeting.capabilities & can.MARIADB_BULK
    client = Client(greeting=greeting)
    client.says(packet(1, build_response(ANN)))
    assert client.outcome is not None
    assert client.outcome.response.capabilities < 1 << 32


# ---- TLS -----------------------------------------------------------------------------------


def test_a_client_that_asks_for_tls_gets_it_without_an_answer() -> None:
    client = Client(Encryption.REQUIRED)
    assert client.says(SSL_REQUEST) == TlsBegins()
    client.says(packet(2, build_response(ANN_TLS)))
    assert client.outcome is not None
    assert client.outcome.is_encrypted
    assert client.outcome.response.user == b"ann"


def test_what_comes_behind_the_request_is_tls() -> None:
    client = Client()
    assert client.says(SSL_REQUEST + b"\x16\x03\x01") == TlsBegins(received=b"\x16\x03\x01")


def test_a_whole_response_that_asks_for_tls_is_asked_again_encrypted() -> None:
    # Whoever is in the middle could have written it: as both servers do.
    client = Client()
    assert client.says(packet(1, build_response(ANN_TLS))) == TlsBegins()
    client.says(packet(2, build_response(replace(ANN_TLS, user=b"bob"))))
    assert client.outcome is not None
    assert client.outcome.response.user == b"bob"


def test_a_client_in_the_open_is_refused_where_tls_is_required() -> None:
    client = Client(Encryption.REQUIRED)
    with pytest.raises(TlsRequired) as caught:
        client.says(packet(1, build_response(ANN)))
    assert client.turns.refusal(caught.value)[HEADER:].startswith(b"\xff\x57\x0c#HY000Conn")


def test_a_request_for_tls_that_was_not_offered_is_half_a_response() -> None:
    with pytest.raises(BadHandshake):
        Client(Encryption.NEVER).says(SSL_REQUEST)


# ---- what is none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "error", "refusal"),
    [
        (packet(1, b""), BadHandshake, b"\xff\x13\x04#08S01Bad handshake"),
        (packet(1, b"\x05\xa2"), BadHandshake, b"\xff\x13\x04#08S01Bad handshake"),
        (packet(7, build_response(ANN)), OutOfOrder, b"\xff\x84\x04#08S01Got packets out of order"),
        (packet(1, b"\x05\0\0\0\0root\0"), OldClient, b"\xff\xe3\x04Client does not support"),
        (
            packet(1, build_response(replace(ANN, capabilities=can.PROTOCOL_41))),
            OldClient,
            b"\xff\xe3\x04#08004Client does not support",
        ),
        (b"\xff\xff\xff\x01", MessageTooLarge, b"\xff\x81\x04#08S01"),
        (b"GET / HTTP/1.1\r\n\r\n", OutOfOrder, b"\xff\x84\x04#08S01"),
        (b"\x16\x03\x01\x00", OutOfOrder, b"\xff\x84\x04#08S01"),  # TLS, unasked
    ],
)
def test_what_is_no_answer_is_refused_in_mysqls_words(
    data: bytes, error: type[RemoteProtocolError], refusal: bytes
) -> None:
    client = Client()
    with pytest.raises(error) as caught:
        client.says(data)
    assert client.turns.refusal(caught.value)[HEADER:].startswith(refusal)


# ---- cut, garbled --------------------------------------------------------------------------

RECORDED = recordings.read("clients.txt")


@pytest.mark.parametrize("title", RECORDED)
def test_recorded_clients_get_in_whole_and_byte_by_byte(title: str) -> None:
    login = RECORDED[title]
    greeting = read_greeting(login[0][1][HEADER:])
    said = login[1][1]
    whole = Client(Encryption.NEVER, greeting)
    whole.says(said)
    assert whole.outcome is not None
    slow = Client(Encryption.NEVER, greeting)
    for byte in said:
        slow.says(bytes((byte,)))
    assert slow.outcome == whole.outcome


CONVERSATION = SSL_REQUEST + packet(2, build_response(ANN_TLS))


@pytest.mark.parametrize("at", range(len(CONVERSATION) + 1))
def test_a_startup_cut_anywhere_is_the_same(at: int) -> None:
    client = Client()
    for data in (CONVERSATION[:at], CONVERSATION[at:]):
        heard = client.says(data) if data else b""
        if isinstance(heard, TlsBegins):
            # Here TLS changes nothing: what came early comes again.
            client.says(heard.received)
    assert client.outcome is not None
    assert client.outcome.response.user == b"ann"


@given(
    st.lists(
        st.binary(max_size=60)
        | st.builds(packet, st.integers(0, 4), st.binary(max_size=80))
        | st.sampled_from([SSL_REQUEST, packet(1, build_response(ANN)), SSL_REQUEST[:20]]),
        max_size=4,
    ),
    st.sampled_from(Encryption),
)
def test_garbage_raises_nothing_but_what_the_shell_expects(
    said: list[bytes], encryption: Encryption
) -> None:
    client = Client(encryption)
    with contextlib.suppress(ClientVisibleError):
        for one in said:
            if client.outcome is None:
                client.says(one)
