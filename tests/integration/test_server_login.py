"""Our own login, and our own words, against a real server."""

from __future__ import annotations

import hashlib
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from proxy.demo.local_postgres import PostgresCluster, temporary_cluster
from proxy.errors import AuthenticationFailed, ClientVisibleError
from proxy.wire.postgres import auth_messages, backend, frontend, tags
from proxy.wire.postgres.authentication import Chance, Claim, Method, authenticate
from proxy.wire.postgres.credentials import md5_hash
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.login import Credentials, LoginRefused, Welcome, log_in
from proxy.wire.postgres.options import read_options
from proxy.wire.postgres.packets import (
    SSL_REQUEST,
    V3_0,
    V3_2,
    startup_message,
)
from proxy.wire.postgres.scram import Verifier
from proxy.wire.postgres.scram_client import choose_mechanism, client_exchange
from proxy.wire.postgres.startup import client_startup
from proxy.wire.status import IDLE

USERS = {"scram_user": "scram-sha-256", "md5_user": "md5", "clear_user": "password"}
NONCE = b64encode(b"0123456789abcdefgh")
CHANCE = Chance(fresh=b"0123456789abcdefgh", lasting=b"lasting")
PASSWORD = Credentials(password="pencil ½".encode())


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    hba = [f"host all {user} 127.0.0.1/32 {method}" for user, method in USERS.items()]
    hba += ["host all trust_user 127.0.0.1/32 trust"]
    with temporary_cluster(replicas=0, hba=hba, tls=True) as cluster:
        for user in [*USERS, "trust_user"]:
            kind = "md5" if user == "md5_user" else "scram-sha-256"
            cluster.primary.execute(
                f"SET password_encryption = '{kind}'; CREATE ROLE {user} LOGIN PASSWORD 'pencil ½'"
            )
        yield cluster


@dataclass
class Connection:
    """A blocking connection: just enough to let a dialogue run."""

    socket: socket.socket
    certificate: bytes | None = None
    framer: Framer = field(default_factory=lambda: Framer(watch(bytes(range(256)))))
    messages: list[tuple[int, bytes]] = field(default_factory=list)

    def read(self) -> tuple[int, bytes]:
        while not self.messages:
            data = self.socket.recv(65536)
            assert data, "the server hung up"
            passed = self.framer.feed(data)
            self.messages += [(tag, passed[start:stop]) for tag, start, stop in self.framer.found]
        return self.messages.pop(0)

    def log_in(
        self,
        user: str,
        credentials: Credentials,
        *,
        database: str = "postgres",
        version: int = V3_0,
        binding: bytes | None = None,
    ) -> Welcome:
        parameters = {b"user": user.encode(), b"database": database.encode()}
        dialogue = log_in(
            parameters,
            credentials,
            nonce=NONCE,
            channel_binding=binding,
            encrypted=True,  # as good as: nobody listens on this machine
            version=version,
        )
        answer = next(dialogue)
        while True:
            self.socket.sendall(answer)
            try:
                answer = dialogue.send(self.read())
            except StopIteration as stop:
                welcome: Welcome = stop.value
                return welcome

    def ask(self, sql: bytes) -> list[bytes | None]:
        self.socket.sendall(frontend.query(sql))
        row: list[bytes | None] = []
        while (got := self.read())[0] != tags.READY_FOR_QUERY:
            if got[0] == tags.DATA_ROW:
                row = backend.read_data_row(got[1])
        return row


@pytest.fixture
def connection(cluster: PostgresCluster) -> Iterator[Connection]:
    with socket.create_connection(("127.0.0.1", cluster.primary.port), 10) as plain:
        yield Connection(plain)


@pytest.fixture
def encrypted(cluster: PostgresCluster) -> Iterator[Connection]:
    assert cluster.authority is not None
    context = ssl.create_default_context(cafile=str(cluster.authority.certificate))
    with socket.create_connection(("127.0.0.1", cluster.primary.port), 10) as plain:
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            yield Connection(wrapped, wrapped.getpeercert(binary_form=True))


def stored_secret(cluster: PostgresCluster, user: str) -> bytes:
    found = cluster.primary.fetch_value(
        f"SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'"
    )
    assert isinstance(found, str)
    return found.encode()


def proven_to_us(stored: bytes, credentials: Credentials) -> Credentials:
    """Let a client log in to us by SCRAM; what we learn from it."""
    ours = authenticate(Method.SCRAM, Claim(user=b"scram_user", stored=stored), CHANCE)
    offered = auth_messages.read_mechanisms(auth_messages.read_authentication(next(ours))[1])
    chosen = choose_mechanism(offered, None)
    assert chosen is not None
    assert credentials.password is not None
    client = client_exchange(credentials.password, NONCE, chosen[1], None)
    answer = ours.send(frontend.sasl_initial_response(chosen[0], next(client)))
    final = client.send(auth_messages.read_authentication(answer)[1])
    with pytest.raises(StopIteration) as caught:
        ours.send(frontend.sasl_response(final))
    learnt: Credentials = caught.value.value.credentials
    return learnt


# ---- getting in ----------------------------------------------------------------------------


@pytest.mark.parametrize("user", [*USERS, "trust_user"])
def test_a_password_logs_in_by_every_method(connection: Connection, user: str) -> None:
    welcome = connection.log_in(user, PASSWORD)
    assert welcome.status == IDLE
    assert welcome.parameters[b"session_authorization"] == user.encode()
    assert connection.ask(b"SELECT pg_backend_pid()") == [b"%d" % welcome.pid]
    assert len(welcome.secret) == 4


def test_the_keys_of_a_client_that_proved_itself_log_in(
    cluster: PostgresCluster, connection: Connection
) -> None:
    learnt = proven_to_us(stored_secret(cluster, "scram_user"), PASSWORD)
    assert learnt.password is None
    connection.log_in("scram_user", learnt)
    assert connection.ask(b"SELECT current_user") == [b"scram_user"]


def test_a_stored_md5_hash_logs_in(cluster: PostgresCluster, connection: Connection) -> None:
    stored = stored_secret(cluster, "md5_user")
    assert PASSWORD.password is not None
    assert stored == md5_hash(PASSWORD.password, b"md5_user")
    connection.log_in("md5_user", Credentials.from_stored(stored))
    assert connection.ask(b"SELECT current_user") == [b"md5_user"]


def test_a_verifier_of_ours_is_one_to_postgres(
    cluster: PostgresCluster, connection: Connection
) -> None:
    verifier = bytes(Verifier.make(b"another", b"0123456789abcdef"))
    cluster.primary.execute(f"CREATE ROLE made_by_us LOGIN PASSWORD '{verifier.decode()}'")
    connection.log_in("made_by_us", Credentials(password=b"another"))
    assert connection.ask(b"SELECT current_user") == [b"made_by_us"]


def test_scram_is_bound_to_its_tls_connection(encrypted: Connection) -> None:
    assert encrypted.certificate is not None
    binding = hashlib.sha256(encrypted.certificate).digest()
    encrypted.log_in("scram_user", PASSWORD, binding=binding)
    assert encrypted.ask(b"SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [b"t"]


def test_scram_bound_to_another_connection_is_refused(encrypted: Connection) -> None:
    with pytest.raises(LoginRefused, match="channel binding check failed"):
        encrypted.log_in("scram_user", PASSWORD, binding=hashlib.sha256(b"another").digest())


def test_a_server_that_speaks_an_older_version_is_understood(
    cluster: PostgresCluster, connection: Connection
) -> None:
    welcome = connection.log_in("trust_user", Credentials(), version=V3_2)
    major = cluster.postgres.major
    assert welcome.version == (V3_2 if major >= 18 else V3_0)


# ---- being refused, and refusing, in the same words ----------------------------------------


def test_a_missing_database_is_refused_by_the_server(connection: Connection) -> None:
    with pytest.raises(LoginRefused) as caught:
        connection.log_in("scram_user", PASSWORD, database="nowhere")
    assert caught.value.sqlstate == b"3D000"
    assert caught.value.message == 'database "nowhere" does not exist'


@pytest.mark.parametrize("user", [*USERS, "nobody"])
def test_a_wrong_password_is_refused_as_the_server_does(connection: Connection, user: str) -> None:
    with pytest.raises(LoginRefused) as theirs:
        connection.log_in(user, Credentials(password=b"wrong"))
    ours = authenticate(Method.PLAIN, Claim(user=user.encode()), CHANCE)
    next(ours)
    with pytest.raises(AuthenticationFailed) as failed:
        ours.send(frontend.password(b"wrong"))
    assert common(theirs.value.raw) == common(error_message(failed.value))


STARTUPS: Mapping[str, bytes] = {
    "no user": startup_message({b"database": b"postgres"}),
    "no end": startup_message({b"user": b"ann"})[:3] + b"\x11\0\3\0\0user\0ann\0",
    "replication": startup_message({b"user": b"ann", b"replication": b"maybe"}),
}


@pytest.mark.parametrize("packet", STARTUPS.values(), ids=list(STARTUPS))
def test_a_wrong_startup_is_refused_as_the_server_does(
    connection: Connection, packet: bytes
) -> None:
    connection.socket.sendall(packet)
    theirs = connection.read()[1]
    ours = client_startup(tls=True)
    next(ours)
    with pytest.raises(ClientVisibleError) as failed:
        ours.send(packet)
    assert common(error_message(failed.value, fatal=True)) == common(theirs)


@pytest.mark.parametrize("minor", [0, 2, 9])
def test_versions_and_protocol_options_are_negotiated_as_the_server_does(
    cluster: PostgresCluster, connection: Connection, minor: int
) -> None:
    parameters = {b"user": b"trust_user", b"database": b"postgres", b"_pq_.ours": b"1"}
    packet = startup_message(parameters, V3_0 + minor)
    connection.socket.sendall(packet)
    tag, theirs = connection.read()
    assert tag == tags.NEGOTIATE_PROTOCOL_VERSION
    version, options = backend.read_negotiate_protocol_version(theirs)
    assert options == [b"_pq_.ours"]
    newest = V3_2 if cluster.postgres.major >= 18 else V3_0
    assert version == min(newest, V3_0 + minor)


@pytest.mark.parametrize(
    "options",
    [
        rb"-c application_name=a\ b\\c --work-mem=2MB",
        rb"-capplication_name=x -c application_name=y",
        rb"--Application-Name=z=1",
    ],
)
def test_options_mean_what_they_mean_to_the_server(connection: Connection, options: bytes) -> None:
    parameters = {b"user": b"trust_user", b"database": b"postgres", b"options": options}
    connection.socket.sendall(startup_message(parameters))
    while connection.read()[0] != tags.READY_FOR_QUERY:
        continue
    for name, value in read_options(options).items():
        assert connection.ask(b"SELECT current_setting('%b')" % name) == [value]


def common(error: bytes) -> dict[bytes, bytes]:
    """The fields of an error without those that say where in the source it was raised."""
    fields = backend.read_error(error)
    return {kind: value for kind, value in fields.items() if kind not in (b"F", b"L", b"R")}
