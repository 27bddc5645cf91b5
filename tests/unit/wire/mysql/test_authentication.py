"""A client proves who it is: a conversation, as the client's side says it."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientVisibleError
from proxy.wire.mysql.auth_messages import auth_more, auth_switch
from proxy.wire.mysql.authentication import (
    FAST_AUTH_OK,
    FULL_AUTH,
    Authenticated,
    Claim,
    Means,
    authenticate,
)
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.credentials import ELSEWHERE, Credentials, Stored
from proxy.wire.mysql.errors import AccessDenied, OldClient, OutOfOrder
from proxy.wire.mysql.events import PasswordGiven
from proxy.wire.mysql.scramble import (
    NATIVE,
    SHA2,
    PasswordKey,
    encrypt_password,
    native_answer,
    native_key,
    sha2_answer,
    sha2_key,
)
from proxy.wire.mysql.sha_crypt import ShaVerifier
from proxy.wire.mysql.startup import First
from proxy.wire.mysql.turns import Turns
from proxy.wire.mysql.verified import Verified

NONCE = b"abcdefghijklmnopqrst"
KEY = PasswordKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))

WITH_NATIVE = Stored(NATIVE, b"*7614BE58636C810A9D8970A50B3B2A78450413E4")
WITH_SHA2 = Stored(SHA2, bytes(ShaVerifier.make(b"pencil", b"s" * 20, 1000)))
WITH_ED25519 = Stored(b"ed25519", b"x1YAMCvR7TI3XkfIDrsGUiePkxOybYVG94ctSSWCDSc")
LISTED = Stored.listed(b"pencil")
WITHOUT = Stored(NATIVE)


def by_native(password: bytes) -> First:
    return First(NATIVE, native_answer(native_key(password), NONCE) if password else b"")


def by_sha2(password: bytes) -> First:
    return First(SHA2, sha2_answer(sha2_key(password), NONCE) if password else b"")


class Client:
    """What a client would say to our authentication; hears what we answer."""

    def __init__(
        self,
        stored: Stored | None,
        first: First | None,
        *,
        means: Means | None = None,
        private: bool = True,
        can_switch: bool = True,
        now: float = 0.0,
        user: bytes = b"ann",
    ) -> None:
        self.means = means or new_means()
        self.turns = Turns(2, is_41=True)
        claim = Claim(
            user=user,
            host="10.0.0.1",
            stored=stored,
            nonce=NONCE,
            first=first,
            can_switch=can_switch,
            is_private=private,
        )
        self.dialogue = authenticate(claim, self.means, self.turns, now=now)
        self.outcome: Authenticated | None = None
        self.heard: list[bytes] = []
        self.questions: list[PasswordGiven] = []
        self._step(b"", begin=True)

    def says(self, payload: bytes) -> None:
        self._step(packet(self.turns.next_id, payload))

    def is_told(self, *, accepted: bool) -> None:
        self.questions[-1].accepted = accepted
        self._step(b"")

    def _step(self, data: bytes, *, begin: bool = False) -> None:
        try:
            heard = next(self.dialogue) if begin else self.dialogue.send(data)
        except StopIteration as stop:
            self.outcome = stop.value
            return
        if isinstance(heard, PasswordGiven):
            self.questions.append(heard)
        else:
            self.heard.append(heard[HEADER:])

    @property
    def credentials(self) -> Credentials:
        assert self.outcome is not None
        return self.outcome.credentials

    @property
    def last_word(self) -> bytes:
        assert self.outcome is not None
        return self.outcome.answer[HEADER:]


def new_means(plugins: tuple[bytes, ...] = (SHA2, NATIVE), key: PasswordKey | None = KEY) -> Means:
    return Means(verified=Verified(60.0), lasting=b"lasting", plugins=plugins, key=key)


# ---- mysql_native_password -----------------------------------------------------------------


def test_a_native_answer_is_enough_and_gives_the_key_to_the_servers() -> None:
    client = Client(WITH_NATIVE, by_native(b"pencil"))
    assert client.heard == []
    assert client.credentials == Credentials(native_key=native_key(b"pencil"))
    assert client.last_word == b""


def test_a_client_that_begins_with_another_plugin_is_asked_to_switch() -> None:
    client = Client(WITH_NATIVE, by_sha2(b"pencil"))
    assert client.heard == [auth_switch(NATIVE, NONCE)]
    client.says(by_native(b"pencil").answer)
    assert client.credentials == Credentials(native_key=native_key(b"pencil"))


@pytest.mark.parametrize("answer", [by_native(b"pencils").answer, b"a", b"a" * 32])
def test_a_wrong_native_answer_is_denied(answer: bytes) -> None:
    with pytest.raises(AccessDenied, match=r"user 'ann'@'10.0.0.1' \(using password: YES\)"):
        Client(WITH_NATIVE, First(NATIVE, answer))


def test_a_listed_password_is_what_logs_in() -> None:
    client = Client(LISTED, by_native(b"pencil"), means=new_means((NATIVE,)))
    assert client.credentials.password == b"pencil"
    client = Client(LISTED, by_sha2(b"pencil"), means=new_means((SHA2,)))
    assert client.credentials.password == b"pencil"
    assert client.last_word == FAST_AUTH_OK


# ---- caching_sha2_password -----------------------------------------------------------------


def test_the_password_is_asked_for_once_and_then_a_hash_of_it_will_do() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"))
    assert client.heard == [FULL_AUTH]
    client.says(b"pencil\0")
    assert client.credentials == Credentials(b"pencil")
    assert client.last_word == b""
    again = Client(WITH_SHA2, by_sha2(b"pencil"), means=client.means)
    assert again.heard == []
    assert again.last_word == FAST_AUTH_OK
    assert again.credentials == Credentials(sha2_key=sha2_key(b"pencil"))


def test_after_a_while_it_is_asked_for_again() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"))
    client.says(b"pencil\0")
    later = Client(WITH_SHA2, by_sha2(b"pencil"), means=client.means, now=61.0)
    assert later.heard == [FULL_AUTH]


def test_without_tls_the_password_is_encrypted() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"), private=False)
    client.says(b"\x02")
    assert client.heard == [FULL_AUTH, auth_more(KEY.public)]
    client.says(encrypt_password(b"pencil", NONCE, KEY.public))
    assert client.credentials == Credentials(b"pencil")


def test_a_client_that_has_our_key_need_not_ask_for_it() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"), private=False)
    client.says(encrypt_password(b"pencil", NONCE, KEY.public))
    assert client.credentials == Credentials(b"pencil")


@pytest.mark.parametrize("said", [b"pencil\0", b"", encrypt_password(b"pencil", b"n", KEY.public)])
def test_without_tls_nothing_else_is_taken(said: bytes) -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"), private=False)
    with pytest.raises(AccessDenied):
        client.says(said)


def test_without_tls_and_key_no_password_can_be_given() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"), private=False, means=new_means(key=None))
    with pytest.raises(AccessDenied) as caught:
        client.says(b"\x02")
    assert "Without TLS" in caught.value.hint


@pytest.mark.parametrize(
    "said", [b"pencils\0", b"pencil", b"pen\0cil\0", b"pencil\0\0", b"\0", b""]
)
def test_a_wrong_password_is_denied(said: bytes) -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"))
    with pytest.raises(AccessDenied):
        client.says(said)


def test_a_wrong_answer_of_one_who_is_known_leads_the_same_way() -> None:
    client = Client(WITH_SHA2, by_sha2(b"pencil"))
    client.says(b"pencil\0")
    wrong = Client(WITH_SHA2, by_sha2(b"pencils"), means=client.means)
    assert wrong.heard == [FULL_AUTH]
    with pytest.raises(AccessDenied):
        wrong.says(b"pencils\0")


@pytest.mark.parametrize("answer", [b"a", b"a" * 20, b"a" * 33])
def test_an_answer_of_another_length_is_denied(answer: bytes) -> None:
    with pytest.raises(AccessDenied):
        Client(WITH_SHA2, First(SHA2, answer))


def test_an_account_with_another_plugin_shows_its_password_by_this_one() -> None:
    client = Client(WITH_ED25519, by_native(b"pencil"))
    assert client.heard == [auth_switch(SHA2, NONCE)]
    client.says(by_sha2(b"pencil").answer)
    client.says(b"pencil\0")
    assert client.credentials == Credentials(b"pencil")


# ---- who only the servers know -------------------------------------------------------------


def test_a_server_is_asked_once_whether_it_is_the_password() -> None:
    client = Client(ELSEWHERE, by_sha2(b"pencil"))
    client.says(b"pencil\0")
    assert client.questions == [PasswordGiven(b"ann", b"pencil")]
    client.is_told(accepted=True)
    assert client.credentials == Credentials(b"pencil")
    again = Client(ELSEWHERE, by_sha2(b"pencil"), means=client.means)
    assert again.questions == []
    assert again.last_word == FAST_AUTH_OK


def test_what_a_server_does_not_take_is_denied_and_not_remembered() -> None:
    client = Client(ELSEWHERE, by_sha2(b"pencils"))
    client.says(b"pencils\0")
    with pytest.raises(AccessDenied):
        client.is_told(accepted=False)
    assert client.means.verified.find(b"ann", ELSEWHERE, 0.0) is None


@pytest.mark.parametrize("accepted", [True, False])
def test_a_server_is_asked_whether_there_is_no_password(accepted: bool) -> None:
    client = Client(ELSEWHERE, First(SHA2, b""))
    assert client.questions == [PasswordGiven(b"ann", b"")]
    if accepted:
        client.is_told(accepted=True)
        assert client.credentials == Credentials(b"")
    else:
        with pytest.raises(AccessDenied, match="using password: NO"):
            client.is_told(accepted=False)


# ---- no password ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", [First(NATIVE, b""), First(NATIVE, b"\0")])
def test_an_account_without_a_password_is_let_in_without_one(first: First) -> None:
    assert Client(WITHOUT, first).credentials == Credentials(b"")


def test_an_account_without_a_password_takes_none() -> None:
    with pytest.raises(AccessDenied, match="using password: YES"):
        Client(WITHOUT, by_native(b"pencil"))


@pytest.mark.parametrize("stored", [WITH_NATIVE, WITH_SHA2, LISTED, None])
def test_an_account_with_a_password_needs_it(stored: Stored | None) -> None:
    with pytest.raises(AccessDenied, match="using password: NO"):
        Client(stored, None).says(b"")


# ---- nobody --------------------------------------------------------------------------------


def steps(stored: Stored | None, user: bytes, means: Means) -> list[bytes]:
    """What a client with a wrong password hears until it is denied."""
    client = Client(stored, None, user=user, means=means)
    plugin = client.heard[0].split(b"\0")[0][1:]
    answers = [by_native(b"x").answer] if plugin == NATIVE else [by_sha2(b"x").answer, b"x\0"]
    for answer in answers[:-1]:
        client.says(answer)
    with pytest.raises(AccessDenied) as caught:
        client.says(answers[-1])
    return [*client.heard, client.turns.refusal(caught.value)]


@pytest.mark.parametrize(("plugin", "stored"), [(NATIVE, WITH_NATIVE), (SHA2, WITH_SHA2)])
def test_nobody_takes_the_same_steps_as_somebody(plugin: bytes, stored: Stored) -> None:
    means = new_means((plugin,))
    assert steps(None, b"bob", means) == steps(stored, b"bob", means)


def test_nobody_keeps_us_as_busy_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(Stored, "accepts", lambda stored, password: bool(tried.append(stored)))
    for stored in (None, WITH_SHA2):
        client = Client(stored, by_sha2(b"x"), means=new_means((SHA2,)))
        with pytest.raises(AccessDenied):
            client.says(b"x\0")
    assert [(one.plugin, len(one.secret)) for one in tried] == [(SHA2, len(WITH_SHA2.secret))] * 2


def test_nobody_is_asked_by_a_plugin_that_accounts_have_and_always_by_the_same() -> None:
    means = new_means()
    asked = {}
    for number in range(40):
        user = b"user%d" % number
        asked[user] = Client(None, None, user=user, means=means).heard[0]
        assert Client(None, None, user=user, means=means).heard[0] == asked[user]
    assert set(asked.values()) == {auth_switch(NATIVE, NONCE), auth_switch(SHA2, NONCE)}


def test_nobody_is_let_in_by_no_answer() -> None:
    for first in (by_native(b"-"), by_sha2(b"-")):
        with pytest.raises(AccessDenied):
            Client(None, first, means=new_means((first.plugin,))).says(b"-\0")


# ---- COM_CHANGE_USER, old clients, garbage -------------------------------------------------


@pytest.mark.parametrize("stored", [WITH_NATIVE, WITH_SHA2])
def test_behind_a_change_of_user_everybody_is_asked_with_the_same_nonce(stored: Stored) -> None:
    client = Client(stored, None)
    assert client.heard == [auth_switch(stored.plugin, NONCE)]


def test_a_client_that_knows_no_plugins_can_answer_by_the_native_one() -> None:
    client = Client(WITH_NATIVE, by_native(b"pencil"), can_switch=False)
    assert client.credentials.native_key is not None
    with pytest.raises(OldClient):
        Client(WITH_SHA2, by_native(b"pencil"), can_switch=False)


def test_an_answer_out_of_order_is_refused() -> None:
    client = Client(WITH_NATIVE, None)
    with pytest.raises(OutOfOrder):
        client.dialogue.send(packet(2, by_native(b"pencil").answer))


@given(
    stored=st.sampled_from([WITH_NATIVE, WITH_SHA2, WITH_ED25519, LISTED, WITHOUT, None]),
    first=st.none() | st.builds(First, st.sampled_from([NATIVE, SHA2, b"x"]), st.binary()),
    said=st.lists(st.binary(max_size=40) | st.just(b"\x02"), max_size=3),
    private=st.booleans(),
)
def test_garbage_lets_nobody_in_and_raises_nothing_else(
    stored: Stored | None, first: First | None, said: list[bytes], private: bool
) -> None:
    with contextlib.suppress(ClientVisibleError):
        client = Client(stored, first, private=private)
        for payload in said:
            if client.outcome is None:
                client.says(payload)
        assert client.outcome is None or stored is WITHOUT


@given(st.binary(max_size=40))
def test_bytes_that_are_no_packet_are_refused(data: bytes) -> None:
    with pytest.raises(ClientVisibleError):
        Client(WITH_NATIVE, None).dialogue.send(data)
