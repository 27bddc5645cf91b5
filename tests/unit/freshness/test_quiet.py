"""When nothing of a fenced member's can come about any more."""

from __future__ import annotations

from proxy.freshness.quiet import Quiet


def look(quiet: Quiet, at: float, *, is_busy: bool = False) -> bool:
    return quiet.saw(is_busy=is_busy, asked_at=at, now=at + 0.01)


def test_what_was_sent_last_is_waited_for() -> None:
    quiet = Quiet(100.0, 10.0)
    assert not look(quiet, 99.0)
    assert not look(quiet, 109.9)
    assert look(quiet, 110.0)


def test_while_the_server_is_busy_the_time_does_not_begin() -> None:
    """What was sent behind that is read when it is done."""
    quiet = Quiet(100.0, 10.0)
    assert not look(quiet, 150.0, is_busy=True)
    assert not look(quiet, 160.0)
    assert look(quiet, 160.02)


def test_that_it_was_busy_before_the_lease_was_over_changes_nothing() -> None:
    quiet = Quiet(100.0, 10.0)
    assert not look(quiet, 50.0, is_busy=True)
    assert not look(quiet, 109.9)
    assert look(quiet, 110.0)
