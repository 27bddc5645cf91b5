"""A client's first bytes: what it may ask for before it logs in, and what garbage gets."""

from __future__ import annotations

import socket
import struct

import pytest

from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.frontend import query
from proxy.wire.postgres.packets import (
    GSSENC_REQUEST,
    SSL_REQUEST,
    V3_0,
    V3_2,
    cancel_request,
    startup_message,
)
from proxy.wire.status import IDLE
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.raw_client import RawClient, errors, rows, shape, sqlstates

UNREPORTED = b"application_name"  # the proxy's own, where the client has none


@pytest.fixture(scope="module")
def impatient(direct: Application, start_module_proxy: StartProxy) -> Application:
    """Through a proxy that lets a login take 0.3 s."""
    return direct.at(start_module_proxy(client_login_timeout="0.3s").port)


def packet(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(body), kind) + body


@pytest.mark.parametrize(
    "requests",
    [[SSL_REQUEST], [GSSENC_REQUEST], [GSSENC_REQUEST, SSL_REQUEST], [SSL_REQUEST, GSSENC_REQUEST]],
)
def test_encryption_that_is_not_offered_is_declined(
    app: Application, requests: list[bytes]
) -> None:
    with RawClient(app.port) as client:
        for request in requests:
            client.send(request)
            assert client.socket.recv(10) == b"N"
        app.log_in(client)
        assert rows(client.query("SELECT 1")) == [["1"]]


def test_an_encryption_request_said_twice_is_refused(app: Application) -> None:
    with RawClient(app.port) as client:
        client.send(SSL_REQUEST)
        assert client.socket.recv(10) == b"N"
        client.send(SSL_REQUEST)
        assert sqlstates(client.hear_out()) == ["0A000"]


def test_bytes_behind_an_encryption_request_are_refused(app: Application) -> None:
    with RawClient(app.port) as client:
        client.send(SSL_REQUEST + startup_message({b"user": b"app", b"database": b"app"}))
        (error,) = errors(client.hear_out())
        assert error[backend.MESSAGE] == b"received unencrypted data after SSL request"


def test_a_session_is_told_what_a_server_would_tell_it(
    app: Application, direct: Application
) -> None:
    with app.raw() as client, direct.raw() as other:
        ours, theirs = client.welcome.parameters, other.welcome.parameters
        assert {**ours, UNREPORTED: b""} == {**theirs, UNREPORTED: b""}
        assert client.welcome.status == IDLE
        assert len(client.welcome.secret) == 4


def test_startup_parameters_are_set_and_reported(app: Application, direct: Application) -> None:
    wishes = {
        "application_name": "it's me",
        "DateStyle": "German, DMY",
        "TimeZone": "Asia/Kathmandu",
        "extra_float_digits": "1",
        "client_encoding": "LATIN1",
        "options": "-c work_mem=3MB --statement-timeout=12345",
        "IntervalStyle": "iso_8601",
    }
    with app.raw(**wishes) as client, direct.raw(**wishes) as other:
        assert client.welcome.parameters == other.welcome.parameters
        for name in (*wishes, "work_mem", "statement_timeout"):
            if name != "options":
                assert client.value(f"SHOW {name}") == other.value(f"SHOW {name}")


@pytest.mark.parametrize(
    "wishes",
    [
        {"work_mem": "much"},
        {"no_such_setting": "1"},
        {"TimeZone": "Nowhere/Land"},
        {"options": "-c client_encoding=klingon"},
    ],
)
def test_wrong_startup_parameters_are_refused_as_the_server_does(
    app: Application, direct: Application, wishes: dict[str, str]
) -> None:
    refusals = []
    for application in (direct, app):
        with pytest.raises(LoginRefused) as refused:
            application.raw(**wishes)
        fields = refused.value.fields
        refusals.append({kind: fields.get(kind) for kind in (b"S", b"C", b"M")})
    assert refusals[0] == refusals[1]


def test_startup_parameters_survive_reset_all(narrow: Application) -> None:
    with narrow.raw(work_mem="3MB", application_name="one") as one, narrow.raw() as two:
        one.query("SET work_mem = '5MB'")
        assert two.value("SHOW work_mem") == "4MB"
        assert one.value("SHOW work_mem") == "5MB"
        one.query("RESET ALL")
        assert two.value("SHOW work_mem") == "4MB"
        assert one.value("SHOW work_mem") == "3MB"
        assert one.value("SHOW application_name") == "one"


def test_protocol_3_2_has_a_long_cancel_key(app: Application) -> None:
    with RawClient(app.port) as client:
        welcome = client.log_in(app.user, app.password, app.database, version=V3_2)
        assert welcome.version == V3_2
        assert len(welcome.secret) == 32
        assert rows(client.query("SELECT 1")) == [["1"]]


@pytest.mark.parametrize(
    "path", ['"$user", public', "Public,PG_CATALOG", "a-b", 'x"y', "1a", "", '"a""b"', "public;x"]
)
def test_a_search_path_means_at_startup_what_it_means_to_the_server(
    app: Application, direct: Application, path: str
) -> None:
    with app.raw(search_path=path) as client, direct.raw(search_path=path) as other:
        seen = "SELECT current_schemas(true)"
        assert client.value(seen) == other.value(seen)
        assert client.value("SELECT count(*) FROM pg_class") == other.value(
            "SELECT count(*) FROM pg_class"
        )


@pytest.mark.parametrize("minor", [0, 2, 3, 9999])
def test_unknown_minor_versions_and_options_are_negotiated(app: Application, minor: int) -> None:
    with RawClient(app.port) as client:
        asked = {b"user": b"app", b"database": b"app", b"_pq_.one": b"1", b"_pq_.two": b"x"}
        client.send(startup_message(asked, V3_0 + minor))
        tag, message = client.read()
        assert tag == tags.NEGOTIATE_PROTOCOL_VERSION
        version, unknown = backend.read_negotiate_protocol_version(message)
        assert version == min(V3_0 + minor, V3_2)
        assert sorted(unknown) == [b"_pq_.one", b"_pq_.two"]
        assert client.read()[0] == tags.AUTHENTICATION


@pytest.mark.parametrize("version", [1 << 16, 2 << 16, 4 << 16, 0x7FFF_0000])
def test_other_major_versions_are_refused(app: Application, version: int) -> None:
    with RawClient(app.port) as client:
        client.send(packet(version, b"user\0app\0\0"))
        (error,) = errors(client.hear_out())
        assert error[backend.SQLSTATE] == b"0A000"
        assert b"unsupported frontend protocol" in error[backend.MESSAGE]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\0\0\0\7\0\3\0\0",
        b"\x7f\xff\xff\xff\0\3\0\0",
        b"\xff" * 64,
        packet(V3_0, b"user\0app\0"),
        packet(V3_0, b"user"),
        packet(V3_0, b"user\0\0"),
        packet(V3_0, b"database\0app\0\0"),
        packet(V3_0, b"user\0app\0database"),
        packet(1234 << 16 | 9999),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        query(b"SELECT 1"),
    ],
)
def test_garbage_ends_its_own_connection_only(app: Application, garbage: bytes) -> None:
    with app.raw() as bystander, RawClient(app.port) as client:
        client.send(garbage)
        heard = client.hear_out()
        assert shape(heard) in ("", "E")
        assert all(error[backend.SEVERITY] == b"FATAL" for error in errors(heard))
        assert rows(bystander.query("SELECT 1")) == [["1"]]


def test_a_startup_packet_may_come_in_pieces(app: Application) -> None:
    with RawClient(app.port) as client:
        for byte in startup_message({b"user": b"app", b"database": b"app"}):
            client.send(bytes([byte]))
        assert client.read()[0] == tags.AUTHENTICATION


@pytest.mark.parametrize("said", [b"", b"\0\0", packet(V3_0, b"user\0app\0\0")[:-3], SSL_REQUEST])
def test_a_client_that_never_logs_in_is_hung_up_on(impatient: Application, said: bytes) -> None:
    with RawClient(impatient.port) as client:
        client.send(said)
        client.hear_out()
    with impatient.raw() as other:
        assert rows(other.query("SELECT 1")) == [["1"]]


def test_a_client_that_stops_in_the_middle_of_its_login_is_hung_up_on(
    impatient: Application,
) -> None:
    with RawClient(impatient.port) as client:
        client.start("app", "app")
        assert shape(client.hear_out())[0] == "R"


@pytest.mark.parametrize(
    "said",
    [
        cancel_request(1, b"\0\0\0\0"),
        cancel_request(1, b"x" * 256),
        packet(1234 << 16 | 5678, b"\0\0\0\1"),
        packet(1234 << 16 | 5678, bytes(4 + 257)),
    ],
)
def test_a_wrong_cancel_request_is_met_with_silence(app: Application, said: bytes) -> None:
    with RawClient(app.port) as client:
        client.send(said)
        assert shape(client.hear_out()) in ("", "E")


def test_a_client_may_hang_up_at_any_moment(app: Application) -> None:
    whole = startup_message({b"user": b"app", b"database": b"app"})
    for stop in (0, 1, 4, 9, len(whole)):
        with socket.create_connection(("127.0.0.1", app.port)) as client:
            client.sendall(whole[:stop])
    with app.raw() as other:
        assert rows(other.query("SELECT 1")) == [["1"]]
