"""Who has shown the password itself, and until when that counts."""

from __future__ import annotations

import pytest

from proxy.wire.mysql import verified
from proxy.wire.mysql.credentials import ELSEWHERE, Stored
from proxy.wire.mysql.verified import Verified

OLD = Stored(b"caching_sha2_password", b"old")
NEW = Stored(b"caching_sha2_password", b"new")


@pytest.fixture
def known() -> Verified:
    known = Verified(lifetime=60.0)
    known.remember(b"ann", OLD, b"check", 100.0)
    return known


def test_a_check_is_remembered_for_its_time(known: Verified) -> None:
    assert known.find(b"ann", OLD, 100.0) == b"check"
    assert known.find(b"ann", OLD, 159.9) == b"check"
    assert known.find(b"ann", OLD, 160.0) is None


def test_another_user_is_not_known(known: Verified) -> None:
    assert known.find(b"bob", OLD, 100.0) is None


def test_a_password_that_was_changed_is_not_known(known: Verified) -> None:
    assert known.find(b"ann", NEW, 100.0) is None
    known.remember(b"ann", NEW, b"other", 101.0)
    assert known.find(b"ann", NEW, 102.0) == b"other"


def test_two_accounts_of_one_name_do_not_push_each_other_out(known: Verified) -> None:
    known.remember(b"ann", NEW, b"other", 101.0)
    assert known.find(b"ann", OLD, 102.0) == b"check"


def test_a_user_that_a_server_refuses_is_forgotten(known: Verified) -> None:
    known.remember(b"ann", ELSEWHERE, b"check", 100.0)
    known.remember(b"bob", ELSEWHERE, b"check", 100.0)
    known.forget(b"ann")
    assert known.find(b"ann", OLD, 100.0) is known.find(b"ann", ELSEWHERE, 100.0) is None
    assert known.find(b"bob", ELSEWHERE, 100.0) == b"check"


def test_past_the_limit_the_longest_known_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "LIMIT", 2)
    known = Verified(lifetime=60.0)
    for name in (b"a", b"b", b"a", b"c"):
        known.remember(name, ELSEWHERE, b"check", 0.0)
    found = [name for name in (b"a", b"b", b"c") if known.find(name, ELSEWHERE, 1.0)]
    assert found == [b"a", b"c"]
