"""What is known of a password, and what can be done with it."""

from __future__ import annotations

import pytest

from proxy.wire.postgres.credentials import (
    Credentials,
    is_md5_hash,
    is_password,
    md5_answer,
    md5_hash,
)
from proxy.wire.postgres.scram import Keys, Verifier

VERIFIER = bytes(Verifier.make(b"pencil", b"salt", 10))
HASH = b"md528754acffc5400623f44a44d30b50393"


def test_the_hash_is_the_one_postgres_stores() -> None:
    # As in the manual of pg_authid: md5 of the password followed by the name.
    assert md5_hash(b"pencil", b"ann") == HASH
    assert is_md5_hash(HASH)


def test_the_answer_depends_on_the_salt() -> None:
    assert md5_answer(HASH, b"1234") != md5_answer(HASH, b"1235")
    assert is_md5_hash(md5_answer(HASH, b"1234"))


@pytest.mark.parametrize("stored", [b"pencil", HASH, VERIFIER])
def test_a_password_is_known_in_whatever_form_it_is_stored(stored: bytes) -> None:
    assert is_password(b"pencil", b"ann", stored)
    assert not is_password(b"pencils", b"ann", stored)
    assert not is_password(stored + b"x", b"ann", stored)


def test_what_is_stored_is_no_password_by_itself() -> None:
    assert not is_password(HASH, b"ann", HASH)
    assert not is_password(VERIFIER, b"ann", VERIFIER)


@pytest.mark.parametrize(
    "stored", [b"md5", HASH[:-1], HASH + b"0", HASH.upper(), b"md5" + b"g" * 32]
)
def test_a_password_that_looks_much_like_a_hash_is_a_password(stored: bytes) -> None:
    assert not is_md5_hash(stored)
    assert Credentials.from_stored(stored) == Credentials(password=stored)


def test_what_is_stored_gives_what_logs_in() -> None:
    assert Credentials.from_stored(HASH) == Credentials(md5_hash=HASH)
    assert Credentials.from_stored(VERIFIER) == Credentials()
    assert Credentials.from_stored(None) == Credentials()


def test_no_secret_is_shown_in_a_log() -> None:
    credentials = Credentials(b"pencil", HASH, Keys(b"client key", b"server key"))
    shown = repr(credentials)
    assert "pencil" not in shown
    assert "28754a" not in shown
    assert "key'" not in shown
