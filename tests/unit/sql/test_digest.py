"""Fingerprints for people."""

from __future__ import annotations

from proxy.sql.digest import digest, shown
from proxy.sql.scanner import scan


def test_a_statement_is_called_the_same_whatever_its_values() -> None:
    one = scan(b"SELECT a, 'x' FROM Public.T WHERE id IN (1, 2) -- why").fingerprint
    other = scan(b"select A, 'y' from public.t /* because */ where id in (3)").fingerprint
    prepared = scan(b"select A, $1 from public.t where id in ($2, $3)").fingerprint
    assert digest(one) == digest(other) == digest(prepared)
    assert len(digest(one)) == 16
    assert shown(one) == "select a, ? from public.t where id in (?)"
