"""A client proves who it is: a conversation with our own client, and with wrong ones."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import (
    AuthenticationFailed,
    ClientVisibleError,
    InvalidAuthorization,
    RemoteProtocolError,
)
from proxy.wire.postgres import auth_messages, frontend, tags
from proxy.wire.postgres.auth_messages import (
    AUTHENTICATION_CLEARTEXT,
    AUTHENTICATION_OK,
    authentication_md5,
    read_authentication,
    read_mechanisms,
)
from proxy.wire.postgres.authentication import (
    MAX_ANSWER,
    Authenticated,
    Chance,
    Claim,
    Dialogue,
    Method,
    authenticate,
)
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.credentials import Credentials, md5_answer, md5_hash
from proxy.wire.postgres.scram import SCRAM, SCRAM_PLUS, Keys, Verifier, derive_keys
from proxy.wire.postgres.scram_client import choose_mechanism, client_exchange

CHANCE = Chance(fresh=bytes(range(18)), lasting=b"lasting secret")
SALT = b"0123456789abcdef"
VERIFIER = bytes(Verifier.make(b"pencil", SALT, 10))
HASH = md5_hash(b"pencil", b"ann")
KEYS = derive_keys(b"pencil", SALT, 10)
BINDING = b"hash of a certificate"
FAILED = 'password authentication failed for user "ann"'


def claim(stored: bytes | None, binding: bytes | None = None) -> Claim:
    return Claim(user=b"ann", stored=stored, binding=binding)


def outcome_of(dialogue: Dialogue, answer: bytes) -> Authenticated:
    with pytest.raises(StopIteration) as caught:
        dialogue.send(answer)
    outcome: Authenticated = caught.value.value
    return outcome


def at_once(method: Method, what: Claim) -> Authenticated:
    with pytest.raises(StopIteration) as caught:
        next(authenticate(method, what, CHANCE))
    outcome: Authenticated = caught.value.value
    return outcome


def clear_login(stored: bytes | None, password: bytes) -> Authenticated:
    dialogue = authenticate(Method.PLAIN, claim(stored), CHANCE)
    assert next(dialogue) == AUTHENTICATION_CLEARTEXT
    return outcome_of(dialogue, frontend.password(password))


def md5_login(stored: bytes, password: bytes) -> Authenticated:
    dialogue = authenticate(Method.MD5, claim(stored), CHANCE)
    assert next(dialogue) == authentication_md5(CHANCE.fresh[:4])
    answer = md5_answer(md5_hash(password, b"ann"), CHANCE.fresh[:4])
    return outcome_of(dialogue, frontend.password(answer))


def scram_login(
    method: Method,
    stored: bytes | None,
    secret: bytes | Keys,
    binding: bytes | None = None,
) -> Authenticated:
    """Log in as a client that binds whenever it can."""
    dialogue = authenticate(method, claim(stored, binding), CHANCE)
    code, body = read_authentication(next(dialogue))
    assert code == auth_messages.SASL
    chosen = choose_mechanism(read_mechanisms(body), binding)
    assert chosen is not None
    client = client_exchange(secret, b"CLIENT", chosen[1], binding)
    answer = dialogue.send(frontend.sasl_initial_response(chosen[0], next(client)))
    code, body = read_authentication(answer)
    assert code == auth_messages.SASL_CONTINUE
    outcome = outcome_of(dialogue, frontend.sasl_response(client.send(body)))
    code, body = read_authentication(outcome.answer.removesuffix(AUTHENTICATION_OK))
    assert code == auth_messages.SASL_FINAL
    with pytest.raises(StopIteration):  # the client is satisfied with our signature
        client.send(body)
    return outcome


# ---- who gets in, and with what ------------------------------------------------------------


def test_a_trusted_client_is_asked_nothing() -> None:
    assert at_once(Method.TRUST, claim(None)) == Authenticated(b"ann", Credentials())
    assert at_once(Method.TRUST, claim(b"pencil")).credentials == Credentials(password=b"pencil")


def test_a_certificate_of_the_users_name_is_enough() -> None:
    what = Claim(user=b"ann", stored=HASH, certificate_name=b"ann")
    assert at_once(Method.CERT, what) == Authenticated(b"ann", Credentials(md5_hash=HASH))


@pytest.mark.parametrize("stored", [b"pencil", HASH, VERIFIER])
def test_a_password_in_clear_fits_whatever_is_stored(stored: bytes) -> None:
    outcome = clear_login(stored, b"pencil")
    assert outcome == Authenticated(b"ann", Credentials(password=b"pencil"))
    assert outcome.answer == AUTHENTICATION_OK


def test_an_md5_password_fits_a_hash_and_a_listed_password() -> None:
    assert md5_login(HASH, b"pencil").credentials == Credentials(md5_hash=HASH)
    assert md5_login(b"pencil", b"pencil").credentials == Credentials(password=b"pencil")


@pytest.mark.parametrize("method", [Method.SCRAM, Method.MD5])
@pytest.mark.parametrize("binding", [None, BINDING])
@pytest.mark.parametrize("secret", [b"pencil", KEYS])
def test_scram_gives_the_keys_that_log_in_to_the_servers(
    method: Method, binding: bytes | None, secret: bytes | Keys
) -> None:
    outcome = scram_login(method, VERIFIER, secret, binding)
    assert outcome.credentials == Credentials(scram_keys=KEYS)


def test_scram_fits_a_listed_password_and_keeps_it() -> None:
    outcome = scram_login(Method.SCRAM, b"pencil", b"pencil")
    assert outcome.credentials.password == b"pencil"


def test_scram_may_begin_without_a_first_message() -> None:
    dialogue = authenticate(Method.SCRAM, claim(VERIFIER), CHANCE)
    next(dialogue)
    answer = dialogue.send(message(tags.PASSWORD, SCRAM + b"\0\xff\xff\xff\xff"))
    assert read_authentication(answer) == (auth_messages.SASL_CONTINUE, b"")
    code, body = read_authentication(dialogue.send(frontend.sasl_response(b"n,,n=,r=CLIENT")))
    assert code == auth_messages.SASL_CONTINUE
    assert body.startswith(b"r=CLIENT" + b64encode(CHANCE.fresh))


def test_channel_binding_is_offered_over_tls_only() -> None:
    in_the_open = next(authenticate(Method.SCRAM, claim(VERIFIER), CHANCE))
    assert read_mechanisms(read_authentication(in_the_open)[1]) == [SCRAM]
    over_tls = next(authenticate(Method.SCRAM, claim(VERIFIER, BINDING), CHANCE))
    assert read_mechanisms(read_authentication(over_tls)[1]) == [SCRAM_PLUS, SCRAM]


# ---- who does not --------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [b"pencil", HASH, VERIFIER, None, b""])
def test_a_wrong_password_in_clear_is_refused(stored: bytes | None) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        clear_login(stored, b"pencils")
    assert caught.value.message == FAILED


def test_an_empty_password_is_refused_even_where_it_would_fit() -> None:
    with pytest.raises(AuthenticationFailed, match="empty password returned by client"):
        clear_login(bytes(Verifier.make(b"", SALT, 10)), b"")


@pytest.mark.parametrize("stored", [b"pencil", HASH])
def test_a_wrong_md5_password_is_refused(stored: bytes) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        md5_login(stored, b"pencils")
    assert caught.value.message == FAILED


@pytest.mark.parametrize("method", [Method.SCRAM, Method.MD5])
@pytest.mark.parametrize("stored", [VERIFIER, None, b""])
def test_a_wrong_password_and_a_missing_user_fail_alike(
    method: Method, stored: bytes | None
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        scram_login(method, stored, b"pencils")
    assert caught.value.message == FAILED


def test_scram_fails_for_a_user_with_an_md5_hash_even_with_the_right_password() -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        scram_login(Method.SCRAM, HASH, b"pencil")
    assert caught.value.message == FAILED


def test_what_a_missing_user_is_asked_does_not_change_from_try_to_try() -> None:
    def challenge(fresh: bytes) -> bytes:
        chance = Chance(fresh=fresh, lasting=CHANCE.lasting)
        dialogue = authenticate(Method.SCRAM, claim(None), chance)
        next(dialogue)
        return dialogue.send(frontend.sasl_initial_response(SCRAM, b"n,,n=,r=CLIENT"))

    one, other = challenge(b"a" * 18), challenge(b"b" * 18)
    assert one != other
    assert one.partition(b",s=")[2] == other.partition(b",s=")[2]


def test_a_client_without_a_certificate_is_refused() -> None:
    with pytest.raises(InvalidAuthorization, match="requires a valid client certificate"):
        at_once(Method.CERT, claim(None))


def test_a_certificate_of_another_name_is_refused() -> None:
    with pytest.raises(InvalidAuthorization) as caught:
        at_once(Method.CERT, Claim(user=b"ann", certificate_name=b"bob"))
    assert caught.value.message == 'certificate authentication failed for user "ann"'


def test_a_name_that_is_no_text_is_shown_as_it_came() -> None:
    dialogue = authenticate(Method.PLAIN, Claim(user=b"\xe4nn"), CHANCE)
    next(dialogue)
    with pytest.raises(AuthenticationFailed) as caught:
        dialogue.send(frontend.password(b"pencil"))
    assert b"\xe4nn" in caught.value.message.encode("utf-8", "surrogateescape")


# ---- answers that are none -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer", "says"),
    [
        (Method.PLAIN, frontend.query(b"select 1"), "expected password response, got .* 81"),
        (Method.PLAIN, frontend.password(b"x" * MAX_ANSWER), "invalid message length"),
        (Method.MD5, frontend.SYNC, "expected password response"),
        (Method.SCRAM, frontend.SYNC, "expected SASL response"),
        (Method.SCRAM, frontend.password(b"pencil"), "insufficient data"),
        (
            Method.SCRAM,
            frontend.sasl_initial_response(b"PLAIN", b""),
            "client selected an invalid SASL authentication mechanism",
        ),
        (
            Method.SCRAM,
            frontend.sasl_initial_response(SCRAM_PLUS, b""),
            "client selected an invalid SASL authentication mechanism",
        ),
        (
            Method.SCRAM,
            frontend.sasl_initial_response(SCRAM, b"p=tls-server-end-point,,n=,r=abc"),
            "malformed SCRAM message",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(method: Method, answer: bytes, says: str) -> None:
    dialogue = authenticate(method, claim(HASH if method is Method.MD5 else VERIFIER), CHANCE)
    next(dialogue)
    with pytest.raises(RemoteProtocolError, match=says):
        dialogue.send(answer)


answers = st.builds(lambda body: message(tags.PASSWORD, body), st.binary(max_size=60))


@given(
    st.sampled_from([Method.PLAIN, Method.MD5, Method.SCRAM]),
    st.sampled_from([None, b"pencil", HASH, VERIFIER]),
    st.lists(answers, min_size=3, max_size=3),
)
def test_garbage_never_gets_in(method: Method, stored: bytes | None, sent: list[bytes]) -> None:
    dialogue = authenticate(method, claim(stored), CHANCE)
    next(dialogue)
    with pytest.raises(ClientVisibleError):  # noqa: PT012
        for answer in sent:
            dialogue.send(answer)
