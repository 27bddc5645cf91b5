"""What is kept for another server group until its transaction has committed."""

from __future__ import annotations

from proxy.routing.rules import Match
from proxy.session.copies import MOST_BYTES, MOST_KEPT, Copies, Copy
from proxy.settings.rule import Rule
from proxy.sql.statement import Kind
from proxy.types import Mirrored
from proxy.wire.postgres.requests import Execution


def rule() -> Match:
    return Match(Rule(mirror="other"), 0)


def kept(copies: Copies) -> list[bytes]:
    return [copy.data for copy in copies.take()]


def test_a_savepoint_that_is_gone_back_to_takes_along_what_came_behind_it() -> None:
    copies, match = Copies(), rule()
    copies.keep(Copy(match, b"1"))
    copies.follow_savepoint(Kind.SAVEPOINT, "a")
    copies.keep(Copy(match, b"2"))
    copies.follow_savepoint(Kind.SAVEPOINT, "a")
    copies.keep(Copy(match, b"3"))
    copies.follow_savepoint(Kind.ROLLBACK_TO, "a")
    copies.keep(Copy(match, b"4"))
    copies.follow_savepoint(Kind.RELEASE, "a")
    copies.keep(Copy(match, b"5"))
    copies.follow_savepoint(Kind.ROLLBACK_TO, "a")
    assert kept(copies) == [b"1"]


def test_a_savepoint_that_is_not_known_leaves_nothing() -> None:
    copies, match = Copies(), rule()
    copies.keep(Copy(match, b"1"))
    copies.follow_savepoint(Kind.ROLLBACK_TO, "early")
    copies.keep(Copy(match, b"2"))
    assert kept(copies) == [b"2"]


def test_what_is_read_piece_by_piece_is_one_statement() -> None:
    copies, match = Copies(), rule()
    portal = Execution(b"SELECT", None, b"")
    for _ in range(3):
        copies.keep(Copy(match, b"1", portal))
    assert kept(copies) == [b"1"]
    copies.keep(Copy(match, b"1", portal))
    assert kept(copies) == [b"1"]


def test_a_transaction_keeps_only_so_much() -> None:
    copies, match = Copies(), rule()
    for _ in range(MOST_KEPT + 5):
        copies.keep(Copy(match, b"1"))
    assert len(kept(copies)) == MOST_KEPT
    assert match.mirrored.counts[Mirrored.DROPPED] == 5
    copies.keep(Copy(match, bytes(MOST_BYTES + 1)))
    copies.keep(Copy(match, b"behind it"))
    assert kept(copies) == []
    copies.keep(Copy(match, b"2"))
    assert kept(copies) == [b"2"]
