"""Tidegate logs in to a server: a conversation, as the server's side says it."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import AuthenticationFailed, RemoteProtocolError
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.auth_messages import (
    AUTHENTICATION_CLEARTEXT,
    AUTHENTICATION_OK,
    authentication_md5,
    authentication_sasl,
    authentication_sasl_continue,
    authentication_sasl_final,
)
from proxy.wire.postgres.authentication import Chance, Claim, Method, authenticate
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.credentials import md5_answer, md5_hash
from proxy.wire.postgres.errors import error_message
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.login import Credentials, LoginRefused, Welcome, log_in
from proxy.wire.postgres.packets import V3_0, V3_2, startup_message
from proxy.wire.postgres.scram import SCRAM, SCRAM_PLUS, Verifier, derive_keys
from proxy.wire.status import IDLE

PARAMETERS = {b"user": b"ann", b"database": b"shop"}
PASSWORD = Credentials(password=b"pencil")
HASH = Credentials(md5_hash=md5_hash(b"pencil", b"ann"))
SALT = b"0123456789abcdef"
VERIFIER = Verifier.make(b"pencil", SALT, 10)
KEYS = Credentials(scram_keys=derive_keys(b"pencil", SALT, 10))
NOTHING = Credentials()
CHANCE = Chance(fresh=bytes(18), lasting=b"lasting")
BINDING = b"hash of a certificate"

READY = (
    backend.parameter_status(b"server_version", b"15.4")
    + backend.parameter_status(b"in_hot_standby", b"off")
    + backend.backend_key_data(4711, b"\1\2\3\4")
    + backend.READY_IDLE
)


class Server:
    """What a server would say to our login; hears what we answer."""

    def __init__(
        self,
        credentials: Credentials = PASSWORD,
        *,
        binding: bytes | None = None,
        encrypted: bool = True,
        version: int = V3_0,
    ) -> None:
        self.login = log_in(
            PARAMETERS,
            credentials,
            nonce=b"NONCE",
            channel_binding=binding,
            encrypted=encrypted,
            version=version,
        )
        self.framer = Framer(watch(bytes(range(256))))
        self.welcome: Welcome | None = None
        self.opening = next(self.login)

    def says(self, data: bytes) -> bytes:
        passed = self.framer.feed(data)
        answers = []
        for tag, start, stop in self.framer.found:
            try:
                answers.append(self.login.send((tag, passed[start:stop])))
            except StopIteration as end:
                self.welcome = end.value
        return b"".join(answers)


def finish(dialogue: Generator[bytes, bytes, object], answer: bytes) -> bytes:
    """The server's side of an authentication, to its end."""
    try:
        return dialogue.send(answer)
    except StopIteration as stop:
        last: bytes = stop.value.answer
        return last


# ---- getting in ----------------------------------------------------------------------------


def test_a_server_that_asks_nothing_lets_us_in() -> None:
    server = Server(NOTHING)
    assert server.opening == startup_message(PARAMETERS)
    assert server.says(AUTHENTICATION_OK + READY) == b""
    assert server.welcome == Welcome(
        {b"server_version": b"15.4", b"in_hot_standby": b"off"}, 4711, b"\1\2\3\4", IDLE
    )


def test_a_server_without_a_cancel_key_lets_us_in() -> None:
    server = Server(NOTHING)
    server.says(AUTHENTICATION_OK + backend.READY_IDLE)
    assert server.welcome == Welcome()


def test_a_password_is_given_in_clear_when_asked_for() -> None:
    server = Server(PASSWORD)
    assert server.says(AUTHENTICATION_CLEARTEXT) == frontend.password(b"pencil")
    server.says(AUTHENTICATION_OK + READY)
    assert server.welcome is not None


def test_a_password_is_never_said_in_clear_without_tls() -> None:
    server = Server(PASSWORD, encrypted=False)
    with pytest.raises(LoginRefused, match="without TLS"):
        server.says(AUTHENTICATION_CLEARTEXT)


@pytest.mark.parametrize("credentials", [PASSWORD, HASH])
def test_an_md5_password_is_given_by_password_or_hash(credentials: Credentials) -> None:
    server = Server(credentials)
    answer = frontend.password(md5_answer(md5_hash(b"pencil", b"ann"), b"salt"))
    assert server.says(authentication_md5(b"salt")) == answer
    server.says(AUTHENTICATION_OK + READY)
    assert server.welcome is not None


@pytest.mark.parametrize("binding", [None, BINDING])
@pytest.mark.parametrize("credentials", [PASSWORD, KEYS])
def test_scram_is_proven_by_password_or_keys(
    credentials: Credentials, binding: bytes | None
) -> None:
    server = Server(credentials, binding=binding)
    claim = Claim(user=b"ann", stored=bytes(VERIFIER), binding=binding)
    theirs = authenticate(Method.SCRAM, claim, CHANCE)
    first = server.says(next(theirs))
    chosen, _ = frontend.read_sasl_initial_response(first)
    assert chosen == (SCRAM if binding is None else SCRAM_PLUS)
    final = server.says(theirs.send(first))
    assert server.says(finish(theirs, final) + READY) == b""
    assert server.welcome is not None


def test_notices_are_no_obstacle() -> None:
    notice = backend.notice_response(b"WARNING", b"01000", b"careful")
    server = Server()
    server.says(notice + AUTHENTICATION_CLEARTEXT + notice)
    server.says(AUTHENTICATION_OK + notice + READY)
    assert server.welcome is not None


def test_an_older_server_says_which_version_it_speaks() -> None:
    server = Server(version=V3_2)
    assert server.opening == startup_message(PARAMETERS, V3_2)
    server.says(backend.negotiate_protocol_version(V3_0, []) + AUTHENTICATION_OK + READY)
    assert server.welcome is not None
    assert server.welcome.version == V3_0


def test_a_later_version_has_a_longer_cancel_key() -> None:
    server = Server(version=V3_2)
    key = backend.backend_key_data(1, bytes(32))
    server.says(AUTHENTICATION_OK + key + backend.READY_IDLE)
    assert server.welcome == Welcome({}, 1, bytes(32), version=V3_2)


WHOLE = AUTHENTICATION_OK + READY


@pytest.mark.parametrize("at", range(len(WHOLE) + 1))
def test_a_login_cut_anywhere_is_the_same(at: int) -> None:
    server, cut = Server(), Server()
    server.says(WHOLE)
    cut.says(WHOLE[:at])
    cut.says(WHOLE[at:])
    assert cut.welcome == server.welcome is not None


# ---- being refused -------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", AUTHENTICATION_CLEARTEXT, AUTHENTICATION_OK])
def test_a_servers_refusal_is_kept_byte_for_byte(before: bytes) -> None:
    refusal = backend.error_response(
        b"FATAL", b"3D000", b'database "shop" does not exist', {b"F": b"postinit.c", b"D": b"no"}
    )
    server = Server()
    server.says(before)
    with pytest.raises(LoginRefused) as caught:
        server.says(refusal)
    assert caught.value.raw == refusal
    assert caught.value.sqlstate == b"3D000"
    assert caught.value.message == 'database "shop" does not exist'
    assert caught.value.detail == "no"
    assert error_message(caught.value) == refusal


@pytest.mark.parametrize(
    ("credentials", "asked", "wanted"),
    [
        (KEYS, AUTHENTICATION_CLEARTEXT, "the password itself"),
        (HASH, AUTHENTICATION_CLEARTEXT, "the password itself"),
        (KEYS, authentication_md5(b"salt"), "an md5 password"),
        (HASH, authentication_sasl([SCRAM]), "SCRAM-SHA-256"),
        (NOTHING, authentication_sasl([SCRAM]), "SCRAM-SHA-256"),
    ],
)
def test_what_is_not_known_is_said_as_a_refusal(
    credentials: Credentials, asked: bytes, wanted: str
) -> None:
    with pytest.raises(LoginRefused) as caught:
        Server(credentials).says(asked)
    assert caught.value.message == (
        f'the server asks for {wanted} of user "ann", which is not known'
    )
    assert caught.value.sqlstate == b"28000"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (message(tags.AUTHENTICATION, b"\0\0\0\x07"), "by method 7"),
        (authentication_sasl([b"OAUTHBEARER", SCRAM_PLUS]), "OAUTHBEARER, SCRAM-SHA-256-PLUS"),
    ],
)
def test_a_method_we_do_not_speak_is_named(asked: bytes, says: str) -> None:
    with pytest.raises(LoginRefused, match=says):
        Server().says(asked)


# ---- servers that are none -----------------------------------------------------------------


def test_a_server_that_breaks_off_scram_has_not_shown_that_it_knows_us() -> None:
    server = Server()
    server.says(authentication_sasl([SCRAM]))
    with pytest.raises(RemoteProtocolError, match="authentication message 0 in place of 11"):
        server.says(AUTHENTICATION_OK)


def test_a_server_that_skips_its_signature_is_not_believed() -> None:
    server = Server()
    server.says(authentication_sasl([SCRAM]))
    server.says(authentication_sasl_continue(b"r=NONCEmore,s=c2FsdA==,i=10"))
    with pytest.raises(RemoteProtocolError, match="authentication message 0 in place of 12"):
        server.says(AUTHENTICATION_OK)


def test_a_server_with_a_wrong_signature_is_not_believed() -> None:
    server = Server()
    server.says(authentication_sasl([SCRAM]))
    server.says(authentication_sasl_continue(b"r=NONCEmore,s=c2FsdA==,i=10"))
    with pytest.raises(RemoteProtocolError, match="signature is wrong"):
        server.says(authentication_sasl_final(b"v=c2FsdA=="))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (backend.READY_IDLE, "unexpected message 'Z' during login"),
        (AUTHENTICATION_OK + backend.data_row([b"x"]), "unexpected message 'D' during login"),
        (AUTHENTICATION_OK + AUTHENTICATION_OK, "unexpected message 'R' during login"),
        (authentication_md5(b"short"), "invalid message format"),
        (message(tags.AUTHENTICATION, b"\0\0\0\x0aSCRAM-SHA-256\0"), "invalid message format"),
        (message(tags.AUTHENTICATION, b"\0\0"), "insufficient data"),
        (backend.negotiate_protocol_version(V3_2, []), r"wants to speak protocol 3\.2"),
        (backend.negotiate_protocol_version(0x0002_0000, []), r"wants to speak protocol 2\.0"),
    ],
)
def test_a_server_that_speaks_otherwise_is_left(said: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        Server().says(said)


chatter = st.builds(message, st.sampled_from(b"REKSZNv"), st.binary(max_size=30)) | st.sampled_from(
    [AUTHENTICATION_OK, authentication_md5(b"salt"), authentication_sasl([SCRAM])]
)


@given(st.lists(chatter, max_size=6), st.sampled_from([PASSWORD, HASH, KEYS, NOTHING]))
def test_garbage_raises_nothing_but_what_a_pool_expects(
    said: list[bytes], credentials: Credentials
) -> None:
    server = Server(credentials)
    try:
        for one in said:
            if server.welcome is None:
                server.says(one)
    except (LoginRefused, RemoteProtocolError):
        return


def test_a_wrong_password_is_the_servers_to_refuse() -> None:
    server = Server(Credentials(password=b"pencils"))
    theirs = authenticate(Method.SCRAM, Claim(user=b"ann", stored=bytes(VERIFIER)), CHANCE)
    final = server.says(theirs.send(server.says(next(theirs))))
    with pytest.raises(AuthenticationFailed) as failed:
        theirs.send(final)
    with pytest.raises(LoginRefused, match='password authentication failed for user "ann"'):
        server.says(error_message(failed.value))
