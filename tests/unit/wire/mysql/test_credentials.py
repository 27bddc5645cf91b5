"""What is known of a password, and what it is good for."""

from __future__ import annotations

import pytest

from proxy.wire.mysql import ed25519
from proxy.wire.mysql.credentials import ELSEWHERE, Credentials, Stored
from proxy.wire.mysql.scramble import (
    NATIVE,
    SHA2,
    SHA256,
    native_check,
    native_key,
    sha2_key,
)
from proxy.wire.mysql.sha_crypt import ShaVerifier

NATIVE_STORED = b"*7614BE58636C810A9D8970A50B3B2A78450413E4"
SHA2_STORED = bytes(ShaVerifier.make(b"pencil", b"s" * 20, 1000))
SHA256_STORED = b"$5$" + b"s" * 20 + b"$" + ShaVerifier.make(b"pencil", b"s" * 20, 5000).digest
PASSWORD = Credentials(b"pencil")
NATIVE_KEY = Credentials(native_key=native_key(b"pencil"))
SHA2_KEY = Credentials(sha2_key=sha2_key(b"pencil"))


def test_a_password_is_as_good_as_all_of_its_keys() -> None:
    assert PASSWORD.find_native_key() == NATIVE_KEY.find_native_key() == native_key(b"pencil")
    assert PASSWORD.find_sha2_key() == SHA2_KEY.find_sha2_key() == sha2_key(b"pencil")
    assert NATIVE_KEY.find_sha2_key() is SHA2_KEY.find_native_key() is None


@pytest.mark.parametrize("shown", [NATIVE_KEY, SHA2_KEY])
def test_a_password_shown_earlier_is_kept_while_it_is_the_same(shown: Credentials) -> None:
    assert shown.with_earlier(PASSWORD) == PASSWORD
    assert shown.with_earlier(Credentials(b"pencils")) == shown
    assert shown.with_earlier(Credentials()) == shown
    assert PASSWORD.with_earlier(shown) == PASSWORD


def test_no_secret_is_in_what_is_logged() -> None:
    assert "pencil" not in repr(PASSWORD)
    assert repr(NATIVE_KEY) == repr(SHA2_KEY) == "Credentials()"
    assert "pencil" not in repr(Stored.listed(b"pencil"))


@pytest.mark.parametrize(
    "stored",
    [
        Stored(NATIVE, NATIVE_STORED),
        Stored(b"", NATIVE_STORED),
        Stored(SHA2, SHA2_STORED),
        Stored(SHA256, SHA256_STORED),
        Stored(b"ed25519", ed25519.stored_key(b"pencil")),
        Stored.listed(b"pencil"),
    ],
)
def test_the_right_password_is_told_by_whatever_is_stored(stored: Stored) -> None:
    assert stored.accepts(b"pencil") is True
    assert stored.accepts(b"pencils") is False
    assert stored.accepts(b"") is False


@pytest.mark.parametrize("plugin", [NATIVE, b"", SHA2, SHA256])
def test_an_account_without_a_password_takes_none(plugin: bytes) -> None:
    stored = Stored(plugin)
    assert stored.accepts(b"") is True
    assert stored.accepts(b"pencil") is False


@pytest.mark.parametrize("plugin", [NATIVE, b"", SHA2, SHA256, b"ed25519"])
def test_what_is_stored_in_no_known_form_takes_no_password(plugin: bytes) -> None:
    assert Stored(plugin, b"invalid").accepts(b"pencil") is False
    assert Stored(plugin, b"invalid").find_native_check() is None


@pytest.mark.parametrize("stored", [ELSEWHERE, Stored(b"pam", b"x"), Stored(b"unix_socket")])
def test_some_passwords_only_the_servers_know(stored: Stored) -> None:
    assert stored.accepts(b"pencil") is None
    assert stored.accepts(b"") is None


@pytest.mark.parametrize(
    ("stored", "plugin"),
    [
        (Stored(NATIVE, NATIVE_STORED), NATIVE),
        (Stored(b"", NATIVE_STORED), NATIVE),
        (Stored(SHA2, SHA2_STORED), SHA2),
        (Stored(SHA256, SHA256_STORED), SHA2),
        (Stored(b"ed25519", b"x"), SHA2),
        (ELSEWHERE, SHA2),
        (Stored.listed(b"pencil"), None),
    ],
)
def test_the_plugin_by_which_a_client_proves_itself(stored: Stored, plugin: bytes | None) -> None:
    assert stored.client_plugin == plugin


def test_a_listed_password_can_check_native_answers() -> None:
    assert Stored.listed(b"pencil").find_native_check() == native_check(native_key(b"pencil"))
