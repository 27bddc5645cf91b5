"""SCRAM-SHA-256: keys and verifiers, then both sides against each other and against scramp."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode

import pytest
import scramp
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ClientVisibleError, InvalidAuthorization, RemoteProtocolError, Unsupported
from proxy.wire.postgres.scram import (
    MAX_ITERATIONS,
    SCRAM,
    SCRAM_PLUS,
    Keys,
    Verifier,
    derive_keys,
    mock_verifier,
    prepare,
)
from proxy.wire.postgres.scram_client import choose_mechanism, client_exchange
from proxy.wire.postgres.scram_server import Proven, server_exchange

SALT = b"0123456789abcdef"
VERIFIER = Verifier.make(b"pencil", SALT, 10)
BINDING = b"hash of a certificate"
BINDINGS = {SCRAM: None, SCRAM_PLUS: BINDING}


class Server:
    """The server's side, driven by hand."""

    def __init__(
        self,
        verifier: Verifier = VERIFIER,
        mechanism: bytes = SCRAM,
        nonce: bytes = b"SERVER",
        binding: bytes | None = None,
    ) -> None:
        self.exchange = server_exchange(verifier, mechanism, nonce, binding)
        assert next(self.exchange) == b""

    def first(self, message: bytes) -> bytes:
        return self.exchange.send(message)

    def final(self, message: bytes) -> Proven | None:
        with pytest.raises(StopIteration) as caught:
            self.exchange.send(message)
        proven: Proven | None = caught.value.value
        return proven


def log_in(
    secret: bytes | Keys, verifier: Verifier = VERIFIER, mechanism: bytes = SCRAM
) -> tuple[Proven | None, Keys | None]:
    """Let our client talk to our server; what each makes of it."""
    binding = BINDINGS[mechanism]
    chosen = choose_mechanism([SCRAM_PLUS, SCRAM] if binding else [SCRAM], binding)
    assert chosen is not None
    assert chosen[0] == mechanism
    client = client_exchange(secret, b"CLIENT", chosen[1], binding)
    server = Server(verifier, mechanism, binding=binding)
    proven = server.final(client.send(server.first(next(client))))
    if proven is None:
        return None, None
    with pytest.raises(StopIteration) as caught:
        client.send(proven.server_final)
    return proven, caught.value.value


# ---- the example of RFC 7677 ---------------------------------------------------------------


def test_the_servers_side_is_as_in_the_rfc() -> None:
    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = Verifier.make(b"pencil", salt, 4096)
    server = Server(verifier, nonce=b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    proven = server.final(b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert proven is not None
    assert proven.server_final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert proven.client_key == derive_keys(b"pencil", salt, 4096).client_key


# ---- verifiers -----------------------------------------------------------------------------


def test_a_verifier_is_written_as_postgres_stores_it() -> None:
    text = bytes(VERIFIER)
    assert text.startswith(b"SCRAM-SHA-256$10:" + b64encode(SALT) + b"$")
    assert Verifier.try_parse(text) == VERIFIER


@given(
    st.integers(1, 2**31 - 1),
    st.binary(min_size=1, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
def test_a_verifier_is_read_back(
    iterations: int, salt: bytes, stored_key: bytes, server_key: bytes
) -> None:
    verifier = Verifier(iterations, salt, stored_key, server_key)
    assert Verifier.try_parse(bytes(verifier)) == verifier


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"pencil",
        b"md5" + b"0" * 32,
        bytes(VERIFIER)[:-4],
        bytes(VERIFIER) + b"=",
        bytes(VERIFIER).replace(b"$10:", b"$0:"),
        bytes(VERIFIER).replace(b"$10:", b"$4294967296:"),
        bytes(VERIFIER).replace(b"$10:", b"$ten:"),
        bytes(VERIFIER).replace(b"SHA-256", b"SHA-1"),
        b"SCRAM-SHA-256$10:*$*:*",
    ],
)
def test_what_is_no_verifier_is_not_taken_for_one(text: bytes) -> None:
    assert Verifier.try_parse(text) is None


def test_a_verifier_tells_its_password_from_another() -> None:
    assert VERIFIER.accepts(b"pencil")
    assert not VERIFIER.accepts(b"pencils")


def test_a_made_up_verifier_is_the_same_every_time_for_the_same_user() -> None:
    one = mock_verifier(b"ann", b"secret")
    assert one == mock_verifier(b"ann", b"secret")
    assert one.salt != mock_verifier(b"bob", b"secret").salt
    assert one.salt != mock_verifier(b"ann", b"other").salt
    assert len(one.salt) == 16
    assert one.iterations == 4096


# ---- passwords -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        (b"pencil", b"pencil"),
        (b"\x07 bell", b"\x07 bell"),
        ("I\u00adX".encode(), b"IX"),
        ("\u2168".encode(), b"IX"),
        ("a\u00a0b".encode(), b"a b"),
        ("a\u200bb".encode(), b"a b"),
        (b"\xff\xfe", b"\xff\xfe"),
        ("\u0627\u0031".encode(), "\u0627\u0031".encode()),
        ("é\x07".encode(), "é\x07".encode()),
        ("\u00ad".encode(), "\u00ad".encode()),
    ],
    ids=ascii,
)
def test_a_password_is_normalised_or_left_alone(password: bytes, prepared: bytes) -> None:
    assert prepare(password) == prepared


@given(st.binary(max_size=30) | st.text(max_size=30).map(lambda text: text.encode()))
def test_any_password_can_be_prepared(password: bytes) -> None:
    assert prepare(password) or not password


# ---- both sides ----------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", [SCRAM, SCRAM_PLUS])
def test_the_right_password_is_proven_on_both_sides(mechanism: bytes) -> None:
    proven, keys = log_in(b"pencil", mechanism=mechanism)
    assert proven is not None
    assert keys == derive_keys(b"pencil", SALT, 10)


@pytest.mark.parametrize("mechanism", [SCRAM, SCRAM_PLUS])
def test_a_wrong_password_proves_nothing(mechanism: bytes) -> None:
    assert log_in(b"pencils", mechanism=mechanism) == (None, None)


def test_the_key_a_client_proves_logs_in_without_the_password() -> None:
    proven, _ = log_in(b"pencil")
    assert proven is not None
    again, _ = log_in(Keys(proven.client_key, VERIFIER.server_key))
    assert again is not None
    assert again.client_key == proven.client_key


def test_no_password_fits_a_made_up_verifier() -> None:
    made_up = mock_verifier(b"ann", b"secret")
    assert log_in(Keys(bytes(32), bytes(32)), made_up) == (None, None)


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=30), st.binary(min_size=1, max_size=20), st.integers(1, 20))
def test_any_password_logs_in_to_its_own_verifier(
    password: bytes, salt: bytes, iterations: int
) -> None:
    proven, _ = log_in(password, Verifier.make(password, salt, iterations))
    assert proven is not None


@pytest.mark.parametrize("password", ["pencil", "I\u00adX", "pässword"])
def test_our_server_agrees_with_another_client(password: str) -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256"], "ann", password)
    server = Server(Verifier.make(password.encode(), SALT, 4096))
    client.set_server_first(server.first(client.get_client_first().encode()).decode())
    proven = server.final(client.get_client_final().encode())
    assert proven is not None
    client.set_server_final(proven.server_final.decode())


@pytest.mark.parametrize("password", ["pencil", "I\u00adX", "pässword"])
def test_our_client_agrees_with_another_server(password: str) -> None:
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    auth_info = mechanism.make_auth_info(password, iteration_count=4096)
    server = mechanism.make_server(lambda user: auth_info)
    client = client_exchange(password.encode(), b"CLIENT", b"n,,", None)
    server.set_client_first(next(client).decode())
    server.set_client_final(client.send(server.get_server_first().encode()).decode())
    with pytest.raises(StopIteration):
        client.send(server.get_server_final().encode())


# ---- choosing a mechanism ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "binding", "chosen"),
    [
        ([SCRAM_PLUS, SCRAM], BINDING, (SCRAM_PLUS, b"p=tls-server-end-point,,")),
        ([SCRAM_PLUS, SCRAM], None, (SCRAM, b"n,,")),
        ([SCRAM], BINDING, (SCRAM, b"y,,")),
        ([SCRAM], None, (SCRAM, b"n,,")),
        ([SCRAM_PLUS], None, None),
        ([b"OAUTHBEARER"], BINDING, None),
        ([], None, None),
    ],
)
def test_the_strongest_common_mechanism_is_chosen(
    offered: list[bytes], binding: bytes | None, chosen: tuple[bytes, bytes] | None
) -> None:
    assert choose_mechanism(offered, binding) == chosen


# ---- what a client may get wrong -----------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "mechanism", "binding", "error", "says"),
    [
        (b"", SCRAM, None, RemoteProtocolError, "malformed SCRAM"),
        (b"n,,", SCRAM, None, RemoteProtocolError, "malformed SCRAM"),
        (b"n,,n=ann", SCRAM, None, RemoteProtocolError, "malformed SCRAM"),
        (b"x,,n=,r=abc", SCRAM, None, RemoteProtocolError, "malformed SCRAM"),
        (b"n,,n=,r=a\x7fc", SCRAM, None, RemoteProtocolError, "non-printable"),
        (b"n,,n=,r=", SCRAM, None, RemoteProtocolError, "non-printable"),
        (b"n,a=bob,n=,r=abc", SCRAM, None, Unsupported, "authorization identity"),
        (b"n,,m=x,n=,r=abc", SCRAM, None, Unsupported, "unsupported SCRAM extension"),
        (b"n,,n=,r=abc", SCRAM_PLUS, BINDING, RemoteProtocolError, "malformed SCRAM"),
        (b"y,,n=,r=abc", SCRAM, BINDING, InvalidAuthorization, "binding negotiation error"),
        (
            b"p=tls-server-end-point,,n=,r=abc",
            SCRAM,
            BINDING,
            RemoteProtocolError,
            "malformed SCRAM",
        ),
        (b"p=tls-unique,,n=,r=abc", SCRAM_PLUS, BINDING, RemoteProtocolError, '"tls-unique"'),
    ],
)
def test_a_wrong_first_message_is_refused(
    message: bytes, mechanism: bytes, binding: bytes | None, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Server(mechanism=mechanism, binding=binding).first(message)


PROOF = b64encode(bytes(32))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "malformed SCRAM"),
        (b"c=biws,r=CLIENTSERVER", "malformed SCRAM"),
        (b"c=biws,p=" + PROOF, "malformed SCRAM"),
        (b"c=biws,r=CLIENTSERVER,p=" + PROOF[:-4], "malformed SCRAM"),
        (b"c=biws,r=CLIENTSERVER,p=*", "malformed SCRAM"),
        (b"c=biws,r=CLIENTOTHER,p=" + PROOF, "invalid SCRAM response"),
        (b"c=eSws,r=CLIENTSERVER,p=" + PROOF, "unexpected SCRAM channel-binding"),
    ],
)
def test_a_wrong_final_message_is_refused(message: bytes, says: str) -> None:
    server = Server()
    server.first(b"n,,n=,r=CLIENT")
    with pytest.raises(RemoteProtocolError, match=says):
        server.exchange.send(message)


def test_a_login_bound_to_another_connection_is_refused() -> None:
    client = client_exchange(b"pencil", b"CLIENT", b"p=tls-server-end-point,,", b"a third party's")
    server = Server(mechanism=SCRAM_PLUS, binding=BINDING)
    final = client.send(server.first(next(client)))
    with pytest.raises(InvalidAuthorization, match="channel binding check failed"):
        server.exchange.send(final)


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=2), st.sampled_from(list(BINDINGS)))
def test_garbage_from_a_client_raises_nothing_but_what_it_may_see(
    messages: list[bytes], mechanism: bytes
) -> None:
    server = Server(mechanism=mechanism, binding=BINDINGS[mechanism])
    try:
        for message in messages:
            server.exchange.send(message)
    except ClientVisibleError:
        return


# ---- what a server may get wrong -----------------------------------------------------------

SERVER_FIRST = b"r=CLIENTSERVER,s=" + b64encode(SALT) + b",i=10"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "malformed SCRAM"),
        (b"e=other-error", "malformed SCRAM"),
        (SERVER_FIRST.replace(b"i=10", b"i=0"), "malformed SCRAM"),
        (SERVER_FIRST.replace(b"s=", b"s=*"), "malformed SCRAM"),
        (SERVER_FIRST.replace(b"CLIENT", b"OTHER"), "invalid SCRAM response"),
        (SERVER_FIRST.replace(b"SERVER", b""), "invalid SCRAM response"),
        (
            SERVER_FIRST.replace(b"i=10", b"i=%d" % (MAX_ITERATIONS + 1)),
            "1000001 SCRAM iterations; 1000000 are allowed",
        ),
    ],
)
def test_a_wrong_answer_of_a_server_is_refused(message: bytes, says: str) -> None:
    client = client_exchange(b"pencil", b"CLIENT", b"n,,", None)
    next(client)
    with pytest.raises(RemoteProtocolError, match=says):
        client.send(message)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "malformed SCRAM"),
        (b"v=*", "malformed SCRAM"),
        (b"e=invalid-proof", "ended the SCRAM exchange: invalid-proof"),
        (b"v=" + b64encode(bytes(32)), "signature is wrong"),
        (b"v=" + b64encode(hashlib.sha256(b"guess").digest()), "signature is wrong"),
    ],
)
def test_a_server_that_does_not_know_the_password_is_found_out(message: bytes, says: str) -> None:
    client = client_exchange(b"pencil", b"CLIENT", b"n,,", None)
    next(client)
    client.send(SERVER_FIRST)
    with pytest.raises(RemoteProtocolError, match=says):
        client.send(message)
