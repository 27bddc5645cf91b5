"""Tidegate logs in to a server: a conversation, as the server's side says it."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Fault, RemoteProtocolError
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql import ed25519, ok
from proxy.wire.mysql.auth_messages import auth_more, auth_switch
from proxy.wire.mysql.authentication import FAST_AUTH_OK, FULL_AUTH
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.credentials import Credentials
from proxy.wire.mysql.errors import LoginRefused, OutOfOrder, error_packet
from proxy.wire.mysql.events import Encryption, TlsBegins
from proxy.wire.mysql.handshake import (
    Greeting,
    Response,
    build_greeting,
    read_flags,
    read_response,
)
from proxy.wire.mysql.login import MAX_SWITCHES, Channel, Welcome, Wish, log_in
from proxy.wire.mysql.ok import Error, Ok, ok_packet, variable_change
from proxy.wire.mysql.scramble import (
    CLEAR,
    ED25519,
    NATIVE,
    SHA2,
    SHA256,
    PasswordKey,
    native_answer,
    native_key,
    sha2_answer,
    sha2_key,
)
from tests.unit.wire.mysql import openings as recordings

NONCE = b"abcdefghijklmnopqrst"
OTHER = NONCE[::-1]
KEY = PasswordKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))
MYSQL = Greeting(
    server_version=b"9.7.4",
    connection_id=4711,
    nonce=NONCE,
    capabilities=0xDFFF_FFFF,
    charset=255,
    status=2,
    plugin=SHA2,
)
MARIADB = replace(
    MYSQL,
    server_version=b"5.5.5-10.11.19-MariaDB",
    capabilities=0x1D_81FF_FFFE,
    charset=8,
    plugin=NATIVE,
)
ANN = Wish(user=b"ann", database=b"shop", attributes={b"program_name": b"tidegate"})
OPEN = Channel(encryption=Encryption.NEVER)
FETCHING = Channel(encryption=Encryption.NEVER, fetches_key=True)
PRIVATE = Channel(encryption=Encryption.NEVER, is_private=True)
PASSWORD = Credentials(b"pencil")
NATIVE_KEY = Credentials(native_key=native_key(b"pencil"))
SHA2_KEY = Credentials(sha2_key=sha2_key(b"pencil"))
NOTHING = Credentials()
CHANGE = variable_change(b"autocommit", b"ON")
OK = ok_packet(0, Ok(), 0)[HEADER:]


class Server:
    """What a server would say to our login; hears what we answer."""

    def __init__(
        self,
        greeting: Greeting = MYSQL,
        credentials: Credentials = PASSWORD,
        channel: Channel = OPEN,
        wish: Wish = ANN,
    ) -> None:
        self.login = log_in(wish, credentials, channel)
        self.greeting = greeting
        self.welcome: Welcome | None = None
        self.number = 0
        self.tls: TlsBegins | None = None
        assert next(self.login) == b""
        self.opening = self.says(build_greeting(greeting))

    def says(self, payload: bytes) -> bytes:
        """Say something; what we answer, without its header."""
        return self.hears(packet(self.number, payload))

    def hears(self, data: bytes) -> bytes:
        try:
            heard = self.login.send(data)
        except StopIteration as stop:
            self.welcome = stop.value
            return b""
        if isinstance(heard, TlsBegins):
            self.tls = heard
            return self.hears(b"")
        self.number = heard[3] + 1 if heard else self.number + 1
        return heard[HEADER:]

    @property
    def response(self) -> Response:
        return read_response(self.opening, self.greeting.capabilities)


# ---- recorded ------------------------------------------------------------------------------

RECORDED = recordings.read("servers.txt")
LONG = Credentials(b"a quite long password of more than thirty-two bytes, to be sure")
RECORDED_CAPABILITIES = can.DEPRECATE_EOF | can.SESSION_TRACK | can.MARIADB_BULK
WISHES = {
    "mariadb native": (b"nat", b"shop", PASSWORD),
    "mariadb ed25519": (b"ed", b"", LONG),
    "mariadb wrong": (b"nat", b"", Credentials(b"x")),
    "mariadb no_database": (b"nat", b"nosuch", PASSWORD),
    "mysql full": (b"sha", b"shop", PASSWORD),
    "mysql fast": (b"sha", b"", PASSWORD),
    "mysql wrong": (b"sha", b"", Credentials(b"x")),
    "mysql sha256": (b"s256", b"", PASSWORD),
}


def recorded_login(title: str) -> tuple[Wish, Credentials]:
    user, database, credentials = WISHES[title]
    wish = Wish(user=user, database=database, capabilities=RECORDED_CAPABILITIES)
    return wish, credentials


@pytest.mark.parametrize("title", RECORDED)
def test_a_recorded_login_is_said_again_byte_for_byte(title: str) -> None:
    wish, credentials = recorded_login(title)
    login = log_in(wish, credentials, FETCHING)
    heard: bytes | TlsBegins = next(login)
    outcome: object = None
    for side, data in RECORDED[title]:
        if side == ">":
            assert isinstance(heard, bytes)
            # A password encrypted with a public key is never the same twice.
            assert heard == data or len(heard) == len(data) == HEADER + 256
            continue
        try:
            heard = login.send(data)
        except StopIteration as stop:
            outcome = stop.value
        except LoginRefused as refused:
            outcome = refused
            heard = error_packet(refused, data[3])
    if title.endswith(("wrong", "no_database")):
        assert isinstance(outcome, LoginRefused)
        assert heard == RECORDED[title][-1][1]
    else:
        assert isinstance(outcome, Welcome)


@pytest.mark.parametrize("title", RECORDED)
def test_a_recorded_login_with_a_packet_cut_short_ends_as_a_pool_expects(title: str) -> None:
    wish, credentials = recorded_login(title)
    said = [data for side, data in RECORDED[title] if side == "<"]
    for number, data in enumerate(said):
        for stop in range(HEADER, len(data)):
            login = log_in(wish, credentials, FETCHING)
            next(login)
            with contextlib.suppress(RemoteProtocolError, LoginRefused, StopIteration):
                for whole in said[:number]:
                    login.send(whole)
                login.send(packet(data[3], data[HEADER:stop]))


# ---- getting in ----------------------------------------------------------------------------


def test_what_a_server_says_of_itself() -> None:
    wish = replace(ANN, capabilities=can.DEPRECATE_EOF | can.COMPRESS | can.MARIADB_BULK)
    server = Server(MARIADB, wish=wish)
    server.says(ok_packet(0, Ok(status=2, changes=[CHANGE]), can.SESSION_TRACK)[HEADER:])
    welcome = server.welcome
    assert welcome is not None
    assert (welcome.connection_id, welcome.server_version) == (4711, b"10.11.19-MariaDB")
    assert (welcome.is_mariadb, welcome.charset) == (True, 45)
    assert (welcome.ok.status, welcome.ok.changes) == (0x4002, [CHANGE])
    assert welcome.is_encrypted is False
    assert welcome.capabilities & can.DEPRECATE_EOF
    assert welcome.capabilities & can.MARIADB_BULK
    assert not welcome.capabilities & (can.COMPRESS | can.LONG_PASSWORD | can.SSL)
    assert welcome.capabilities == read_flags(server.opening)


def test_mysql_is_not_told_of_mariadbs_capabilities() -> None:
    server = Server(wish=replace(ANN, capabilities=can.MARIADB_BULK | can.QUERY_ATTRIBUTES))
    server.says(FAST_AUTH_OK)
    server.says(OK)
    assert server.welcome is not None
    assert not server.welcome.is_mariadb
    assert server.welcome.capabilities < 1 << 32
    assert server.welcome.capabilities & can.QUERY_ATTRIBUTES


def test_who_wants_what_is_said() -> None:
    response = Server().response
    assert (response.user, response.database, response.charset) == (b"ann", b"shop", 45)
    assert response.attributes == {b"program_name": b"tidegate"}
    assert not Server(wish=Wish(user=b"ann")).response.capabilities & can.CONNECT_WITH_DB


@pytest.mark.parametrize("credentials", [PASSWORD, NATIVE_KEY])
@pytest.mark.parametrize("greeting", [MYSQL, MARIADB])
def test_a_native_password_is_proven_by_password_or_key(
    credentials: Credentials, greeting: Greeting
) -> None:
    server = Server(greeting, credentials)
    answer = native_answer(native_key(b"pencil"), NONCE)
    if server.response.plugin == NATIVE:
        assert server.response.answer == answer
    assert server.says(auth_switch(NATIVE, OTHER)) == native_answer(native_key(b"pencil"), OTHER)
    server.says(OK)
    assert server.welcome is not None


@pytest.mark.parametrize("credentials", [PASSWORD, SHA2_KEY])
@pytest.mark.parametrize("greeting", [MYSQL, MARIADB])
def test_a_server_that_has_seen_the_password_takes_a_hash_of_it(
    credentials: Credentials, greeting: Greeting
) -> None:
    server = Server(greeting, credentials)
    if greeting is MARIADB:
        answer = server.says(auth_switch(SHA2, OTHER))
        assert answer == sha2_answer(sha2_key(b"pencil"), OTHER)
    else:
        assert server.response.answer == sha2_answer(sha2_key(b"pencil"), NONCE)
    assert server.says(FAST_AUTH_OK) == b""
    server.says(OK)
    assert server.welcome is not None


def test_what_can_be_answered_by_is_named_though_the_server_prefers_another() -> None:
    assert Server(MYSQL, NATIVE_KEY).response.plugin == NATIVE
    assert Server(MARIADB, SHA2_KEY).response.plugin == SHA2
    assert Server(MARIADB, NOTHING).response.plugin == NATIVE
    assert Server(replace(MARIADB, plugin=b"dialog")).response.plugin == NATIVE


def test_an_empty_password_is_an_empty_answer() -> None:
    server = Server(credentials=Credentials(b""))
    assert server.response.answer == b""
    assert server.says(auth_switch(NATIVE, OTHER)) == b""
    server.says(OK)
    assert server.welcome is not None


def test_mariadbs_ed25519_takes_the_password() -> None:
    nonce = bytes(range(32))
    server = Server(MARIADB)
    assert server.says(auth_switch(ED25519, nonce)) == ed25519.sign(b"pencil", nonce)
    server.says(OK)
    assert server.welcome is not None


def test_an_account_of_several_plugins_is_answered_by_each() -> None:
    server = Server(MARIADB)
    server.says(auth_switch(ED25519, bytes(range(32))))
    assert server.says(auth_switch(NATIVE, OTHER)) == native_answer(native_key(b"pencil"), OTHER)


def test_a_plugin_that_can_not_be_answered_by_is_passed_over_at_mariadb() -> None:
    server = Server(MARIADB, NATIVE_KEY)
    assert server.says(auth_switch(ED25519, bytes(32))) == b""
    assert server.says(auth_switch(NATIVE, OTHER)) == native_answer(native_key(b"pencil"), OTHER)
    server.says(OK)
    assert server.welcome is not None


def test_what_could_not_be_answered_is_why_mariadb_refuses() -> None:
    denied = ok.error_packet(0, Error(1045, b"28000", b"Access denied"))[HEADER:]
    server = Server(MARIADB, NATIVE_KEY)
    server.says(auth_switch(ED25519, bytes(32)))
    with pytest.raises(LoginRefused, match="the password itself") as caught:
        server.says(denied)
    assert caught.value.wants_password
    server = Server(MARIADB, NATIVE_KEY)
    server.says(auth_switch(ED25519, bytes(32)))
    server.says(auth_switch(NATIVE, OTHER))
    with pytest.raises(LoginRefused, match="Access denied"):
        server.says(denied)


# ---- saying the password itself ------------------------------------------------------------


def test_the_password_itself_is_said_where_nobody_can_listen() -> None:
    server = Server(channel=PRIVATE)
    assert server.says(FULL_AUTH) == b"pencil\0"
    assert Server(channel=PRIVATE).says(auth_switch(CLEAR, b"")) == b"pencil\0"
    assert Server(channel=PRIVATE).says(auth_switch(SHA256, OTHER)) == b"pencil\0"


def test_it_is_encrypted_with_a_key_that_is_known() -> None:
    channel = Channel(encryption=Encryption.NEVER, public_key=KEY.public)
    assert KEY.decrypt(Server(channel=channel).says(FULL_AUTH), NONCE) == b"pencil\0"
    answer = Server(channel=channel).says(auth_switch(SHA256, OTHER))
    assert KEY.decrypt(answer, OTHER) == b"pencil\0"


@pytest.mark.parametrize(
    ("asked", "request_", "nonce"),
    [(FULL_AUTH, b"\x02", NONCE), (auth_switch(SHA256, OTHER), b"\x01", OTHER)],
)
def test_the_key_is_asked_for_where_that_is_allowed(
    asked: bytes, request_: bytes, nonce: bytes
) -> None:
    server = Server(channel=FETCHING)
    assert server.says(asked) == request_
    assert KEY.decrypt(server.says(auth_more(KEY.public)), nonce) == b"pencil\0"
    server.says(OK)
    assert server.welcome is not None


@pytest.mark.parametrize("asked", [FULL_AUTH, auth_switch(SHA256, OTHER), auth_switch(CLEAR, b"")])
def test_it_is_not_said_in_the_open(asked: bytes) -> None:
    with pytest.raises(LoginRefused, match="without TLS") as caught:
        Server().says(asked)
    assert caught.value.ours


def test_an_empty_password_is_no_secret() -> None:
    assert Server(credentials=Credentials(b"")).says(auth_switch(SHA256, OTHER)) == b"\0"


# ---- TLS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encryption", [Encryption.OFFERED, Encryption.REQUIRED])
def test_tls_is_spoken_where_the_server_does(encryption: Encryption) -> None:
    server = Server(channel=Channel(encryption=encryption))
    assert server.tls is not None
    assert server.tls.answer[:4] == b"\x20\0\0\x01"
    assert read_flags(server.tls.answer[HEADER:]) & can.SSL
    assert server.number == 3
    assert server.says(FULL_AUTH) == b"pencil\0"
    server.says(OK)
    assert server.welcome is not None
    assert server.welcome.is_encrypted
    assert server.welcome.capabilities & can.SSL


def test_tls_is_not_spoken_where_the_server_does_not() -> None:
    greeting = replace(MYSQL, capabilities=MYSQL.capabilities & ~can.SSL)
    assert Server(greeting, channel=Channel()).tls is None
    with pytest.raises(LoginRefused, match="does not support TLS"):
        Server(greeting, channel=Channel(encryption=Encryption.REQUIRED))


# ---- being refused -------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[], [FULL_AUTH], [FAST_AUTH_OK]])
def test_a_servers_refusal_is_kept_word_for_word(before: list[bytes]) -> None:
    server = Server(channel=PRIVATE)
    for payload in before:
        server.says(payload)
    refusal = Error(1049, b"42000", b"Unknown database 'shop'")
    with pytest.raises(LoginRefused) as caught:
        server.says(ok.error_packet(0, refusal)[HEADER:])
    assert caught.value.said == refusal
    assert (caught.value.errno, caught.value.sqlstate) == (1049, b"42000")
    assert caught.value.fault is Fault.UNKNOWN_DATABASE
    assert not caught.value.ours


def test_a_server_that_is_full_says_so_in_place_of_a_greeting() -> None:
    login = log_in(ANN, PASSWORD, OPEN)
    next(login)
    with pytest.raises(LoginRefused, match="Too many connections") as caught:
        login.send(b"\x17\0\0\0\xff\x10\x04Too many connections")
    assert caught.value.fault is Fault.TOO_MANY_CLIENTS


@pytest.mark.parametrize(
    ("credentials", "asked", "wanted"),
    [
        (SHA2_KEY, FULL_AUTH, "the password itself (caching_sha2_password)"),
        (SHA2_KEY, auth_switch(NATIVE, OTHER), "mysql_native_password"),
        (NATIVE_KEY, auth_switch(SHA2, OTHER), "caching_sha2_password"),
        (NATIVE_KEY, auth_switch(ED25519, bytes(32)), "the password itself (client_ed25519)"),
        (NATIVE_KEY, auth_switch(CLEAR, b""), "the password itself (mysql_clear_password)"),
        (NOTHING, auth_switch(SHA256, OTHER), "the password itself (sha256_password)"),
        (NOTHING, auth_switch(NATIVE, OTHER), "mysql_native_password"),
    ],
)
def test_what_is_not_known_is_said_as_a_refusal(
    credentials: Credentials, asked: bytes, wanted: str
) -> None:
    with pytest.raises(LoginRefused) as caught:
        Server(credentials=credentials, channel=PRIVATE).says(asked)
    assert caught.value.message == f"the server asks for {wanted} of user 'ann', which is not known"
    assert caught.value.wants_password
    assert caught.value.ours
    assert caught.value.errno == 1045


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (auth_switch(b"dialog", b"Password: "), "by dialog, which"),
        (b"\xfe", "by mysql_old_password, which"),
        (b"\x02plugin\0", "a second factor"),
    ],
)
def test_a_method_we_do_not_speak_is_named(asked: bytes, says: str) -> None:
    with pytest.raises(LoginRefused, match=says) as caught:
        Server().says(asked)
    assert not caught.value.wants_password


def test_a_server_from_before_41_is_refused() -> None:
    with pytest.raises(LoginRefused, match="too old"):
        Server(replace(MYSQL, capabilities=can.LONG_PASSWORD))


# ---- servers that are none -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (b"", "unexpected empty packet"),
        (b"\x7f", "unexpected packet 0x7F"),
        (b"\0\0", "ends in the middle"),
        (b"\0\0\0\2", "in the middle of an integer"),
        (auth_more(b"\x05"), "something unknown"),
        (b"\xfecaching_sha2_password", "ends in its name"),
        (auth_switch(ED25519, b"short")[:-1], "nonce is too short"),
        (b"\xff\x01", "in the middle of an integer"),
    ],
)
def test_a_server_that_speaks_otherwise_is_left(said: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        Server(channel=PRIVATE).says(said)


def test_a_native_server_has_nothing_more_to_say() -> None:
    with pytest.raises(RemoteProtocolError, match="unexpected packet 0x01"):
        Server(MARIADB, NATIVE_KEY).says(auth_more(b"x"))


def test_a_key_that_was_not_sent_is_not_waited_for() -> None:
    server = Server(channel=FETCHING)
    server.says(FULL_AUTH)
    with pytest.raises(RemoteProtocolError, match="unexpected packet 0x00"):
        server.says(OK)


def test_a_server_that_always_asks_for_another_plugin_is_left() -> None:
    server = Server()
    for _ in range(MAX_SWITCHES):
        server.says(auth_switch(NATIVE, OTHER))
    with pytest.raises(RemoteProtocolError, match="unexpected packet 0xFE"):
        server.says(auth_switch(NATIVE, OTHER))


def test_packets_out_of_order_are_refused() -> None:
    with pytest.raises(OutOfOrder):
        Server().hears(packet(9, OK))


chatter = st.sampled_from(
    [
        OK,
        FAST_AUTH_OK,
        FULL_AUTH,
        auth_switch(NATIVE, OTHER),
        auth_switch(SHA2, OTHER),
        auth_switch(SHA256, OTHER),
        auth_switch(ED25519, bytes(32)),
        auth_switch(CLEAR, b""),
        auth_more(KEY.public),
    ]
) | st.binary(max_size=40)


@given(
    st.lists(chatter, max_size=5),
    st.sampled_from([PASSWORD, NATIVE_KEY, SHA2_KEY, NOTHING]),
    st.sampled_from([OPEN, FETCHING, PRIVATE, Channel()]),
)
def test_garbage_raises_nothing_but_what_a_pool_expects(
    said: list[bytes], credentials: Credentials, channel: Channel
) -> None:
    server = Server(credentials=credentials, channel=channel)
    with contextlib.suppress(LoginRefused, RemoteProtocolError):
        for payload in said:
            if server.welcome is None:
                server.says(payload)


@given(st.binary(max_size=100))
def test_a_greeting_that_is_garbage_is_refused(data: bytes) -> None:
    for payload in (data, b"\x0a9.7.4\0" + data):
        login = log_in(ANN, PASSWORD, OPEN)
        next(login)
        with contextlib.suppress(LoginRefused, RemoteProtocolError):
            login.send(packet(0, payload))
