"""Stop signals: heard wherever they come, and harmless once it is cleaned up."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from proxy.demo.interrupts import Interrupts


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_signal_between_steps_is_raised_at_the_next_check() -> None:
    with Interrupts() as interrupts:
        interrupts.check()
        send()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_signal_on_a_loop_cancels_the_work_and_lets_it_end() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            send()
            await asyncio.Event().wait()
        finally:
            ended = True

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        interrupts.run(work())
    assert ended


def test_signal_before_the_loop_is_not_forgotten() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with Interrupts() as interrupts:
        send()
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(work())


def test_second_signal_does_not_wait_for_a_check() -> None:
    with Interrupts():
        send()
        with pytest.raises(KeyboardInterrupt):
            send()


def test_signal_while_cleaning_up_is_ignored() -> None:
    with Interrupts() as interrupts:
        interrupts.disarm()
        send()
        send()
        interrupts.check()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
