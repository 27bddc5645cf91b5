"""A client's first bytes, as a conversation: what comes, what is answered."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import (
    ClientVisibleError,
    InvalidAuthorization,
    InvalidSetting,
    RemoteProtocolError,
    Unsupported,
    UnsupportedVersion,
)
from proxy.wire.postgres.backend import read_negotiate_protocol_version
from proxy.wire.postgres.packets import (
    GSSENC_REQUEST,
    SSL_REQUEST,
    V3_0,
    V3_2,
    CancelRequest,
    cancel_request,
    startup_message,
)
from proxy.wire.postgres.startup import (
    Dialogue,
    Replication,
    Startup,
    TlsBegins,
    client_startup,
)

ANN = startup_message({b"user": b"ann", b"database": b"shop"})


class Client:
    """The other end of the dialogue: says something, hears what is answered."""

    def __init__(self, *, tls: bool = False) -> None:
        self.dialogue: Dialogue = client_startup(tls=tls)
        self.outcome: Startup | CancelRequest | None = None
        assert next(self.dialogue) == b""

    def says(self, data: bytes) -> bytes | TlsBegins:
        try:
            return self.dialogue.send(data)
        except StopIteration as stop:
            self.outcome = stop.value
            return b""


def begin(parameters: dict[bytes, bytes], version: int = V3_0) -> Startup:
    client = Client()
    client.says(startup_message(parameters, version))
    assert isinstance(client.outcome, Startup)
    return client.outcome


def test_a_startup_message_says_who_wants_what() -> None:
    client = Client()
    client.says(ANN)
    assert client.outcome == Startup(V3_0, b"ann", b"shop", {}, Replication.NO)


@pytest.mark.parametrize("at", range(1, len(ANN)))
def test_a_startup_message_cut_anywhere_is_the_same(at: int) -> None:
    client = Client()
    assert client.says(ANN[:at]) == b""
    assert client.outcome is None
    client.says(ANN[at:])
    assert client.outcome == Startup(V3_0, b"ann", b"shop", {}, Replication.NO)


def test_a_startup_message_byte_by_byte_is_the_same() -> None:
    client = Client()
    for byte in ANN:
        assert client.says(bytes([byte])) == b""
    assert client.outcome == Startup(V3_0, b"ann", b"shop", {}, Replication.NO)


def test_what_comes_behind_the_startup_message_is_kept() -> None:
    client = Client()
    client.says(ANN + b"p\0\0\0\5")
    assert isinstance(client.outcome, Startup)
    assert client.outcome.rest == b"p\0\0\0\5"


def test_tls_is_made_when_asked_for() -> None:
    client = Client(tls=True)
    assert client.says(SSL_REQUEST) == TlsBegins(answer=b"S")
    client.says(ANN)
    assert isinstance(client.outcome, Startup)


def test_tls_is_declined_when_there_is_none() -> None:
    client = Client(tls=False)
    assert client.says(SSL_REQUEST) == b"N"
    client.says(ANN)
    assert isinstance(client.outcome, Startup)


def test_gssapi_is_declined_and_tls_may_be_asked_for_next() -> None:
    client = Client(tls=True)
    assert client.says(GSSENC_REQUEST) == b"N"
    assert client.says(SSL_REQUEST) == TlsBegins(answer=b"S")
    client.says(ANN)
    assert isinstance(client.outcome, Startup)


def test_gssapi_may_be_asked_for_after_tls_was_declined() -> None:
    client = Client(tls=False)
    assert client.says(SSL_REQUEST) == b"N"
    assert client.says(GSSENC_REQUEST) == b"N"
    client.says(ANN)
    assert isinstance(client.outcome, Startup)


def test_tls_may_begin_without_asking() -> None:
    client = Client(tls=True)
    hello = b"\x16\x03\x01\x02\x00\x01"
    assert client.says(hello) == TlsBegins(received=hello)
    client.says(ANN)
    assert isinstance(client.outcome, Startup)


def test_tls_inside_tls_is_declined() -> None:
    client = Client(tls=True)
    client.says(b"\x16\x03\x01")
    assert client.says(SSL_REQUEST) == b"N"


def test_a_handshake_without_tls_is_no_startup_packet() -> None:
    with pytest.raises(RemoteProtocolError, match="invalid length of startup packet"):
        Client(tls=False).says(b"\x16\x03\x01\x02\x00\x01")


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("request_packet", "kind"), [(SSL_REQUEST, "SSL"), (GSSENC_REQUEST, "GSSAPI encryption")]
)
def test_bytes_in_the_segment_of_an_encryption_request_are_refused(
    request_packet: bytes, kind: str, tls: bool
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"unencrypted data after {kind} request"):
        Client(tls=tls).says(request_packet + ANN)


@pytest.mark.parametrize("again", [SSL_REQUEST, GSSENC_REQUEST])
def test_an_encryption_request_is_heard_once(again: bytes) -> None:
    client = Client(tls=False)
    client.says(again)
    with pytest.raises(UnsupportedVersion, match="unsupported frontend protocol 1234"):
        client.says(again)


@pytest.mark.parametrize("again", [SSL_REQUEST, GSSENC_REQUEST])
def test_no_encryption_request_is_heard_after_tls_was_asked_for(again: bytes) -> None:
    client = Client(tls=True)
    client.says(SSL_REQUEST)
    with pytest.raises(UnsupportedVersion):
        client.says(again)


@pytest.mark.parametrize("secret", [b"\1\2\3\4", bytes(32), bytes(256)])
def test_a_cancel_request_is_understood(secret: bytes) -> None:
    client = Client()
    client.says(cancel_request(77, secret))
    assert client.outcome == CancelRequest(77, secret)


def test_a_cancel_request_may_come_through_tls() -> None:
    client = Client(tls=True)
    client.says(SSL_REQUEST)
    client.says(cancel_request(77, b"1234"))
    assert client.outcome == CancelRequest(77, b"1234")


@pytest.mark.parametrize("version", [V3_0, V3_0 + 1, V3_2])
def test_a_known_version_is_spoken_as_asked(version: int) -> None:
    startup = begin({b"user": b"ann"}, version)
    assert (startup.version, startup.answer) == (version, b"")


@pytest.mark.parametrize("minor", [3, 9, 9999])
def test_a_later_minor_version_is_negotiated_down(minor: int) -> None:
    startup = begin({b"user": b"ann"}, V3_0 + minor)
    assert startup.version == V3_2
    assert read_negotiate_protocol_version(startup.answer) == (V3_2, [])


def test_unknown_protocol_options_are_named_and_not_taken_for_settings() -> None:
    startup = begin({b"user": b"ann", b"_pq_.a": b"1", b"_pq_.b": b"2", b"work_mem": b"4"})
    assert read_negotiate_protocol_version(startup.answer) == (V3_0, [b"_pq_.a", b"_pq_.b"])
    assert startup.settings == {b"work_mem": b"4"}


@pytest.mark.parametrize(("version", "words"), [(0x0002_0000, "2.0"), (0x0004_0001, "4.1")])
def test_another_major_version_is_refused(version: int, words: str) -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        Client().says(startup_message({b"user": b"ann"}, version))
    assert caught.value.message == (
        f"unsupported frontend protocol {words}: server supports 3.0 to 3.2"
    )


@pytest.mark.parametrize("parameters", [{}, {b"database": b"shop"}, {b"user": b""}])
def test_a_session_without_a_user_is_refused(parameters: dict[bytes, bytes]) -> None:
    with pytest.raises(InvalidAuthorization, match="no PostgreSQL user name specified"):
        begin(parameters)


@pytest.mark.parametrize("parameters", [{}, {b"database": b""}])
def test_the_database_is_the_users_own_by_default(parameters: dict[bytes, bytes]) -> None:
    assert begin({b"user": b"ann", **parameters}).database == b"ann"


def test_options_become_settings_and_a_setting_named_by_itself_wins() -> None:
    startup = begin(
        {
            b"user": b"ann",
            b"Search_Path": b"mine",
            b"options": b"-c search_path=other --work-mem=1MB",
        }
    )
    assert startup.settings == {b"search_path": b"mine", b"work_mem": b"1MB"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"database", Replication.LOGICAL),
        (b"true", Replication.PHYSICAL),
        (b"ON", Replication.PHYSICAL),
        (b"y", Replication.PHYSICAL),
        (b"1", Replication.PHYSICAL),
        (b"0", Replication.NO),
        (b"of", Replication.NO),
        (b"No", Replication.NO),
    ],
)
def test_replication_is_read_as_postgres_reads_it(value: bytes, kind: Replication) -> None:
    assert begin({b"user": b"ann", b"replication": value}).replication is kind


@pytest.mark.parametrize("value", [b"", b"o", b"maybe", b"Database", b"2"])
def test_an_unclear_replication_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidSetting, match='invalid value for parameter "replication"'):
        begin({b"user": b"ann", b"replication": value})


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\0\0\0\0", b"\0\0\0\7abc", b"\xff" * 4])
def test_what_is_no_startup_packet_is_refused_by_its_length(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="invalid length of startup packet"):
        Client().says(data)


def test_unsupported_options_are_refused() -> None:
    with pytest.raises(Unsupported, match="startup option '-e' is not supported"):
        begin({b"user": b"ann", b"options": b"-e"})


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5), st.booleans())
def test_garbage_raises_nothing_but_what_a_client_may_see(pieces: list[bytes], tls: bool) -> None:
    client = Client(tls=tls)
    with contextlib.suppress(ClientVisibleError):
        for piece in pieces:
            client.says(piece)
            if client.outcome:
                break


@given(
    st.dictionaries(
        st.sampled_from([b"user", b"database", b"options", b"replication", b"_pq_.x", b"other"]),
        st.binary(max_size=12).map(lambda value: value.replace(b"\0", b"")),
    ),
    st.sampled_from([V3_0, V3_2, V3_2 + 5]),
)
def test_any_parameters_raise_nothing_but_what_a_client_may_see(
    parameters: dict[bytes, bytes], version: int
) -> None:
    with contextlib.suppress(ClientVisibleError):
        startup = begin(parameters, version)
        assert startup.user
        assert startup.database
