"""Answers to a nonce, and what can be learnt from them: against what servers stored and clients
sent."""

from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519 as seeded
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import ed25519
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.handshake import read_greeting, read_response
from proxy.wire.mysql.scramble import (
    PasswordKey,
    encrypt_password,
    find_native_key,
    find_sha2_key,
    native_answer,
    native_check,
    native_key,
    read_native_check,
    sha2_answer,
    sha2_check,
    sha2_key,
)
from proxy.wire.mysql.sha_crypt import ShaVerifier, sha_crypt
from tests.unit.wire.mysql import openings as recordings

NONCE = b"abcdefghijklmnopqrst"
STORED = b"*7614BE58636C810A9D8970A50B3B2A78450413E4"  # MariaDB 10.11, of "pencil"
LONG = b"a quite long password of more than thirty-two bytes, to be sure"

passwords = st.binary(min_size=1, max_size=40)
nonces = st.binary(min_size=20, max_size=20)


def test_what_mariadb_stores_of_a_native_password() -> None:
    assert read_native_check(STORED) == native_check(native_key(b"pencil"))


@pytest.mark.parametrize(
    "stored", [b"", b"invalid", STORED[:-1], b"+" + STORED[1:], b"*" + b"x" * 40]
)
def test_what_is_no_native_hash_is_told(stored: bytes) -> None:
    assert read_native_check(stored) is None


@given(passwords, nonces)
def test_a_right_native_answer_gives_away_the_key(password: bytes, nonce: bytes) -> None:
    key = native_key(password)
    assert find_native_key(native_answer(key, nonce), nonce, native_check(key)) == key


@given(passwords, nonces)
def test_a_right_sha2_answer_gives_away_the_key(password: bytes, nonce: bytes) -> None:
    key = sha2_key(password)
    assert find_sha2_key(sha2_answer(key, nonce), nonce, sha2_check(key)) == key


@given(st.binary(max_size=40), nonces)
def test_a_wrong_answer_gives_away_nothing(answer: bytes, nonce: bytes) -> None:
    assert find_native_key(answer, nonce, native_check(native_key(b"pencil"))) is None
    assert find_sha2_key(answer, nonce, sha2_check(sha2_key(b"pencil"))) is None


@pytest.mark.parametrize("title", recordings.read("clients.txt"))
def test_recorded_clients_answer_so(title: str) -> None:
    login = recordings.read("clients.txt")[title]
    greeting = read_greeting(login[0][1][HEADER:])
    response = read_response(login[1][1][HEADER:], greeting.capabilities)
    if response.plugin == b"mysql_native_password":
        assert response.answer == native_answer(native_key(b"pencil"), greeting.nonce)
    else:
        assert response.answer == sha2_answer(sha2_key(b"pencil"), greeting.nonce)


# ---- RSA -----------------------------------------------------------------------------------

KEY = PasswordKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.mark.parametrize("password", [b"", b"pencil", b"p" * 200])
def test_an_encrypted_password_can_be_read_by_whoever_has_the_key(password: bytes) -> None:
    encrypted = encrypt_password(password, NONCE, KEY.public)
    assert password not in encrypted or not password
    assert KEY.decrypt(encrypted, NONCE) == password + b"\0"


def test_under_another_nonce_it_is_another_password() -> None:
    assert KEY.decrypt(encrypt_password(b"pencil", NONCE, KEY.public), NONCE[::-1]) != b"pencil\0"


@given(st.binary(max_size=300))
def test_what_was_not_encrypted_with_the_key_is_nothing(data: bytes) -> None:
    assert KEY.decrypt(data, NONCE) is None


def test_a_servers_key_that_is_none_is_refused() -> None:
    other = seeded.Ed25519PrivateKey.generate().public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for public in (b"", b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", pem):
        with pytest.raises(RemoteProtocolError):
            encrypt_password(b"pencil", NONCE, public)
    with pytest.raises(RemoteProtocolError):
        encrypt_password(b"p" * 300, NONCE, KEY.public)


# ---- SHA-crypt -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "salt", "rounds", "digest"),
    [
        # glibc 2.36; the first is the specification's own too.
        (b"Hello world!", b"saltstring", 5000, b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (b"a" * 70, b"toolongsaltstrin", 1400, b"fdGErlYhnv7RiU00OSlF9kPsk2b8Z1HbQXkMnHgLul9"),
        (b"", b"roundstoolow", 1000, b"niVCJEvB6P1KwYyyfs6BA2Pdtl825YGAw2eO8ELolF1"),
    ],
)
def test_it_is_sha_crypt(password: bytes, salt: bytes, rounds: int, digest: bytes) -> None:
    assert sha_crypt(password, salt, rounds) == digest


SHA2_STORED = bytes.fromhex(
    "244124303041243F5E4A4D3E53580E054117645C21116233600268435065313539776A4D37326A73306C38743732"
    "7331336364466D6C4F6B2E464E5647413465615745777432"
)
SHA256_STORED = bytes.fromhex(
    "2435241C6F2909750E68654456334C5330632731752A6A244D6E786F323044664468714151436D592E352F507A6C"
    "48484A753646537147416F6142696F39464A366230"
)


@pytest.mark.parametrize(("stored", "rounds"), [(SHA2_STORED, 10_000), (SHA256_STORED, 5000)])
def test_what_mysql_stores_tells_the_right_password(stored: bytes, rounds: int) -> None:
    verifier = ShaVerifier.try_parse(stored)
    assert verifier is not None
    assert verifier.rounds == rounds
    assert verifier.accepts(b"pencil")
    assert not verifier.accepts(b"pencils")


def test_a_password_longer_than_mysql_takes_is_wrong_without_work() -> None:
    assert not ShaVerifier.make(b"x" * 257, b"s" * 20, 1000).accepts(b"x" * 257)
    assert not ShaVerifier.make(b"x", b"s" * 20, 1000).accepts(b"x" * 100_000)


def test_a_verifier_is_read_as_it_was_built() -> None:
    assert bytes(ShaVerifier.try_parse(SHA2_STORED) or b"") == SHA2_STORED
    made = ShaVerifier.make(b"pencil", b"s" * 20, 5000)
    assert bytes(made).startswith(b"$A$005$ssss")
    assert ShaVerifier.try_parse(bytes(made)) == made


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        STORED,
        SHA2_STORED[:-1],
        SHA2_STORED + b"x",
        b"$A$0xZ" + SHA2_STORED[6:],
        b"$A$000" + SHA2_STORED[6:],
        b"$B" + SHA2_STORED[2:],
        SHA256_STORED[:-1],
        b"$5$short$" + b"x" * 43,
    ],
)
def test_what_is_no_verifier_is_told(stored: bytes) -> None:
    assert ShaVerifier.try_parse(stored) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_a_verifier_or_none(data: bytes) -> None:
    for stored in (data, b"$A$005$" + data, b"$5$" + data):
        ShaVerifier.try_parse(stored)


# ---- Ed25519 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "stored"),
    [
        (b"pencil", b"x1YAMCvR7TI3XkfIDrsGUiePkxOybYVG94ctSSWCDSc"),
        (LONG, b"hvlh9dLE5LPWG8A89aqFOJnS0R08TIXnHbU68v++KeE"),
    ],
)
def test_what_mariadb_stores_of_an_ed25519_password(password: bytes, stored: bytes) -> None:
    assert ed25519.stored_key(password) == stored


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_with_a_password_of_a_seeds_length_it_is_ed25519(password: bytes, nonce: bytes) -> None:
    key = seeded.Ed25519PrivateKey.from_private_bytes(password)
    assert ed25519.sign(password, nonce) == key.sign(nonce)


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32))
def test_a_signature_is_right_whatever_the_passwords_length(password: bytes, nonce: bytes) -> None:
    public = b64decode(ed25519.stored_key(password) + b"=")
    signature = ed25519.sign(password, nonce)
    seeded.Ed25519PublicKey.from_public_bytes(public).verify(signature, nonce)
