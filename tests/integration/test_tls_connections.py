"""TLS on both sides: to clients, to servers, and the logins that are bound to it."""

from __future__ import annotations

import contextlib
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psycopg
import pytest

from proxy.demo.certificates import Authority
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.runtime.tls import end_point_binding
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.frontend import COPY_DONE, copy_data, query
from proxy.wire.postgres.packets import GSSENC_REQUEST, SSL_REQUEST, startup_message
from tests.integration.application import PASSWORD, Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import RawClient, rows, shape, sqlstates

PRIME = 1_000_003


@dataclass(frozen=True, slots=True)
class Keys:
    """An authority, and what it has issued."""

    authority: Authority
    settings: dict[str, str]  # for the proxy's clients
    folder: Path

    @property
    def ca(self) -> str:
        return str(self.authority.certificate)

    def client(self, user: str) -> dict[str, str]:
        """A client's certificate, in libpq's terms."""
        pair = self.authority.issue_client(user)
        return {"sslcert": str(pair.certificate), "sslkey": str(pair.key)}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    pair = authority.issue_server("proxy")
    settings = {
        "client_tls_cert_file": str(pair.certificate),
        "client_tls_key_file": str(pair.key),
        "client_tls_ca_file": str(authority.certificate),
    }
    return Keys(authority, settings, folder)


@pytest.fixture(scope="module")
def encrypting(direct: Application, keys: Keys, start_module_proxy: StartProxy) -> Application:
    """Through a proxy that offers TLS, with the defaults otherwise."""
    return direct.at(start_module_proxy(**keys.settings).port)


def context(keys: Keys, *, alpn: bool) -> ssl.SSLContext:
    found = ssl.create_default_context(cafile=keys.ca)
    if alpn:
        found.set_alpn_protocols(["postgresql"])
    return found


def wrap(client: RawClient, keys: Keys, *, alpn: bool = True) -> ssl.SSLSocket:
    """Begin TLS on a raw client's connection."""
    wrapped = context(keys, alpn=alpn).wrap_socket(client.socket, server_hostname="127.0.0.1")
    client.socket = wrapped
    return wrapped


def begin_tls(client: RawClient, keys: Keys) -> ssl.SSLSocket:
    """Ask for TLS and begin it."""
    client.send(SSL_REQUEST)
    assert client.socket.recv(10) == b"S"
    return wrap(client, keys)


# ---- clients -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_libpqs_modes_work(encrypting: Application, keys: Keys, mode: str) -> None:
    with encrypting.connect(sslmode=mode, sslrootcert=keys.ca) as connection:
        assert connection.pgconn.ssl_in_use == (mode != "disable")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_trusts_another_authority_hangs_up(
    encrypting: Application, tmp_path: Path
) -> None:
    other = str(Authority(tmp_path).certificate)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        encrypting.connect(sslmode="verify-ca", sslrootcert=other)
    with encrypting.connect(sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_direct_tls_needs_no_request(encrypting: Application, keys: Keys) -> None:
    with encrypting.connect(
        sslmode="verify-full", sslrootcert=keys.ca, sslnegotiation="direct"
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_direct_tls_needs_its_protocol_named(encrypting: Application, keys: Keys) -> None:
    with RawClient(encrypting.port) as client:
        wrap(client, keys, alpn=False)
        client.start("app", "app")
        assert shape(client.hear_out()) in ("", "E")


@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_scram_is_bound_to_the_channel(encrypting: Application, keys: Keys, binding: str) -> None:
    with encrypting.connect(sslmode="require", channel_binding=binding) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_scram_bound_to_another_channel_is_refused(encrypting: Application, keys: Keys) -> None:
    with RawClient(encrypting.port) as client:
        wrapped = begin_tls(client, keys)
        certificate = wrapped.getpeercert(binary_form=True)
        assert certificate is not None
        good = end_point_binding(certificate)
        assert good is not None
        client.log_in("app", PASSWORD, "app", binding=good)
    with RawClient(encrypting.port) as client:
        begin_tls(client, keys)
        with pytest.raises(LoginRefused, match="channel binding"):
            client.log_in("app", PASSWORD, "app", binding=bytes(32))


def test_gss_is_declined_before_tls(encrypting: Application, keys: Keys) -> None:
    with RawClient(encrypting.port) as client:
        client.send(GSSENC_REQUEST)
        assert client.socket.recv(10) == b"N"
        begin_tls(client, keys)
        encrypting.log_in(client)
        assert rows(client.query("SELECT 1")) == [["1"]]


def test_encryption_is_not_begun_twice(encrypting: Application, keys: Keys) -> None:
    for request in (SSL_REQUEST, GSSENC_REQUEST):
        with RawClient(encrypting.port) as client:
            begin_tls(client, keys)
            client.send(request)
            assert sqlstates(client.hear_out()) == ["0A000"]


def test_bytes_put_in_front_of_tls_are_refused(encrypting: Application) -> None:
    with RawClient(encrypting.port) as client:
        client.send(SSL_REQUEST + startup_message({b"user": b"app"}))
        assert sqlstates(client.hear_out()) == ["08P01"]


@pytest.mark.parametrize("stop", [1, 5, 100, 10_000])
def test_a_handshake_that_is_broken_off_harms_nobody(
    encrypting: Application, keys: Keys, stop: int
) -> None:
    outgoing = ssl.MemoryBIO()
    handshake = context(keys, alpn=True).wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    with RawClient(encrypting.port) as client:
        client.send(outgoing.read()[:stop])
    with RawClient(encrypting.port) as client:
        client.send(SSL_REQUEST)
        assert client.socket.recv(1) == b"S"
        client.send(b"no handshake at all, but many bytes of something else" * 10)
        client.hear_out()
    with encrypting.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_much_goes_both_ways_over_tls(encrypting: Application, keys: Keys) -> None:
    with RawClient(encrypting.port, timeout=20) as client:
        begin_tls(client, keys)
        encrypting.log_in(client)
        client.query("DROP TABLE IF EXISTS heavy; CREATE TABLE heavy (a text)")
        client.ask(query(b"COPY heavy FROM STDIN"), last=b"G")
        line = b"x" * 999 + b"\n"
        client.ask(*[copy_data(line * 100)] * 100, copy_data(b"y" * 3_000_000 + b"\n"), COPY_DONE)
        assert rows(client.query("SELECT count(*), sum(length(a)) FROM heavy")) == [
            ["10001", str(10_000 * 999 + 3_000_000)]
        ]
        found = rows(client.query("SELECT a FROM heavy ORDER BY length(a)"))
        assert [len(row[0] or "") for row in found] == [999] * 10_000 + [3_000_000]
        assert rows(client.query(f"SELECT length('{'z' * PRIME}')")) == [[str(PRIME)]]
        client.query("DROP TABLE heavy")


def test_a_goodbye_of_tls_ends_a_client_in_its_transaction(
    encrypting: Application, keys: Keys
) -> None:
    with RawClient(encrypting.port) as client, encrypting.connect() as other:
        wrapped = begin_tls(client, keys)
        encrypting.log_in(client)
        other.execute("DROP TABLE IF EXISTS held")
        client.query("CREATE TABLE held (a int)")
        client.query("BEGIN; LOCK TABLE held")
        with contextlib.suppress(ssl.SSLError):
            wrapped.unwrap()  # waits for the goodbye that answers it
        other.execute("SET statement_timeout = 5000")
        other.execute("DROP TABLE held")


def test_cancel_over_tls(encrypting: Application) -> None:
    with encrypting.connect(sslmode="require") as connection:
        timer = threading.Timer(0.1, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


async def test_asyncpg_over_tls(encrypting: Application, keys: Keys) -> None:
    trusting = ssl.create_default_context(cafile=keys.ca)
    async with encrypting.asyncpg(ssl=trusting) as connection:
        assert await connection.fetchval("SELECT repeat('x', 100000)") == "x" * 100_000
    trusting.set_alpn_protocols(["postgresql"])
    async with encrypting.asyncpg(ssl=trusting, direct_tls=True) as connection:
        assert await connection.fetchval("SELECT 1") == 1


def test_clients_in_the_open_are_refused_when_tls_is_required(
    direct: Application, keys: Keys, start_module_proxy: StartProxy
) -> None:
    strict = direct.at(start_module_proxy(**keys.settings, client_tls_sslmode="require").port)
    with pytest.raises(psycopg.OperationalError, match="TLS is required"):
        strict.connect(sslmode="disable")
    with strict.connect(sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_certificate_that_is_demanded_must_be_shown(
    direct: Application, keys: Keys, start_module_proxy: StartProxy, tmp_path: Path
) -> None:
    strict = direct.at(start_module_proxy(**keys.settings, client_tls_sslmode="verify-ca").port)
    with pytest.raises(psycopg.OperationalError):
        strict.connect(sslmode="require", sslcert="/nonexistent")
    stranger = Authority(tmp_path).issue_client("app")
    with pytest.raises(psycopg.OperationalError):
        strict.connect(
            sslmode="require", sslcert=str(stranger.certificate), sslkey=str(stranger.key)
        )
    with strict.connect(sslmode="require", **keys.client("app")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_certificate_logs_in(
    direct: Application, keys: Keys, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(
        **keys.settings,
        auth_type="cert",
        client_tls_sslmode="verify-full",
        users={"app": {"password": PASSWORD}},
    )
    certified = direct.at(proxy.port).like(password="not asked for")
    with certified.connect(sslmode="require", **keys.client("app")) as connection:
        assert connection.execute("SELECT session_user").fetchone() == ("app",)
    with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
        certified.connect(sslmode="require", **keys.client("somebody_else"))
    with pytest.raises(psycopg.OperationalError):
        certified.connect(sslmode="require", sslcert="/nonexistent")
    with pytest.raises(psycopg.OperationalError, match="TLS is required"):
        certified.connect(sslmode="disable")


def test_passwords_in_clear_over_tls(
    direct: Application, keys: Keys, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(**keys.settings, auth_type="plain", client_tls_sslmode="require")
    with direct.at(proxy.port).connect(sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


# ---- servers -------------------------------------------------------------------------------


def server_ca(cluster: PostgresCluster) -> str:
    assert cluster.authority is not None
    return str(cluster.authority.certificate)


def is_encrypted(application: Application) -> object:
    with application.connect() as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return (row.fetchone() or [None])[0]


@pytest.fixture(scope="module")
def elsewhere(tls_cluster: PostgresCluster) -> Application:
    """Directly to the server that offers TLS."""
    return Application(tls_cluster.primary.port, user="scram_user", database="postgres")


ENCRYPTED = {"scram_user": True, "any_user": True, "open_user": None}
ASKED: dict[str, dict[str, bool | None]] = {
    "disable": {"scram_user": False, "any_user": None, "open_user": False},
    "allow": {"scram_user": False, "any_user": True, "open_user": False},
    "prefer": {"scram_user": True, "any_user": True, "open_user": False},
    "require": ENCRYPTED,
    "verify-ca": ENCRYPTED,
    "verify-full": ENCRYPTED,
}
"""By mode and user, who may be in the open, over TLS, or both: encrypted or not; None: refused."""


@pytest.mark.parametrize("mode", ASKED)
def test_servers_are_reached_as_asked(
    elsewhere: Application, tls_cluster: PostgresCluster, start_proxy_at_tls: StartProxy, mode: str
) -> None:
    proxy = start_proxy_at_tls(server_tls_sslmode=mode, server_tls_ca_file=server_ca(tls_cluster))
    through = elsewhere.at(proxy.port)
    for user, encrypted in ASKED[mode].items():
        if encrypted is None:
            with pytest.raises(psycopg.OperationalError, match="rejects connection"):
                through.like(user=user).connect()
        else:
            assert is_encrypted(through.like(user=user)) is encrypted
    with through.connect() as connection:
        found = connection.execute("SELECT repeat('x', 5000000)").fetchone()
        assert found == ("x" * 5_000_000,)


@pytest.fixture
def start_proxy_at_tls(tls_cluster: PostgresCluster, start_module_proxy: StartProxy) -> StartProxy:
    return lambda **group: start_module_proxy(before=tls_cluster, **group)


def test_a_server_of_another_authority_is_not_believed(
    tls_cluster: PostgresCluster, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    proxy = ProxyUnderTest(
        tmp_path,
        [tls_cluster.primary.address],
        auth_user=SUPERUSER,
        auth_password=tls_cluster.password,
        group={"server_tls_sslmode": "verify-ca", "server_tls_ca_file": str(other.certificate)},
    )
    proxy.launch()
    try:
        proxy.wait_logged("certificate verify failed")
        assert proxy.get("/readyz")[0] == 503
    finally:
        proxy.stop()


def test_a_certificate_is_shown_to_servers(
    elsewhere: Application, tls_cluster: PostgresCluster, start_proxy_at_tls: StartProxy
) -> None:
    assert tls_cluster.authority is not None
    pair = tls_cluster.authority.issue_client("cert_user")
    proxy = start_proxy_at_tls(
        server_tls_sslmode="verify-full",
        server_tls_ca_file=server_ca(tls_cluster),
        server_tls_cert_file=str(pair.certificate),
        server_tls_key_file=str(pair.key),
    )
    through = elsewhere.at(proxy.port).like(user="cert_user")
    assert is_encrypted(through) is True
    with through.connect() as connection:
        found = connection.execute("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert found.fetchone() == ("/CN=cert_user",)


async def test_tls_on_both_sides(
    elsewhere: Application,
    tls_cluster: PostgresCluster,
    keys: Keys,
    start_proxy_at_tls: StartProxy,
) -> None:
    proxy = start_proxy_at_tls(
        **keys.settings,
        server_tls_sslmode="verify-full",
        server_tls_ca_file=server_ca(tls_cluster),
    )
    trusting = ssl.create_default_context(cafile=keys.ca)
    async with elsewhere.at(proxy.port).asyncpg(ssl=trusting) as connection:
        assert await connection.fetchval("SELECT length($1::text)", "x" * 3_000_000) == 3_000_000
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1 / $1::int", 0)
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT pg_sleep(20)", timeout=0.1)
        assert await connection.fetchval("SELECT 1") == 1
